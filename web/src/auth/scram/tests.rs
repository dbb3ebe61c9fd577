use super::*;

#[test]
fn the_exchange_of_rfc_7677_is_accepted_and_answered_as_there() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier = Verifier::salted("pencil", &salt, 4_096);
    assert_eq!(verifier.challenge(), "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let exchange = format!(
        "n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
    );
    let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
    let signature = verifier.check(&exchange, &proof);
    assert_eq!(signature.as_deref(), Some("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    assert_eq!(verifier.check(&exchange, &proof[1..]), None);
    assert_eq!(verifier.check(&exchange.replace("n=user", "n=root"), &proof), None);
    assert_eq!(Verifier::salted("pencils", &salt, 4_096).check(&exchange, &proof), None);
}

#[test]
fn a_verifier_is_written_and_read_and_hides_itself() {
    let verifier = Verifier::new("trc_secret").unwrap();
    assert_eq!(Verifier::read(&verifier.show()).as_ref(), Some(&verifier));
    assert_ne!(Verifier::new("trc_secret").unwrap(), verifier, "salts differ");
    assert_eq!(format!("{verifier:?}"), "Verifier(..)");
    for broken in ["", "SCRAM-SHA-256$", "SCRAM-SHA-256$x:AA==$AA==:AA==", "md5abc"] {
        assert_eq!(Verifier::read(broken), None, "{broken}");
    }
}

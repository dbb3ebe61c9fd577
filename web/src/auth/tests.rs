use axum::http::HeaderValue;
use storage::ManualClock;
use storage::time::NANOS_PER_SECOND;

use super::*;

struct Fixture {
    auth: Auth,
    clock: Arc<ManualClock>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

fn fixture(require_tokens: bool) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.json");
    let clock = Arc::new(ManualClock::at(1_000 * NANOS_PER_SECOND));
    let ours: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let auth = Auth::open(file.clone(), require_tokens, ours).unwrap();
    Fixture { auth, clock, file, _folder: folder }
}

fn header(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(header::AUTHORIZATION, value);
    headers
}

const ADDRESS: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

#[test]
fn the_first_start_makes_one_admin_token_and_later_ones_none() {
    let f = fixture(false);
    let token = f.auth.first_token().unwrap().unwrap();
    assert!(token.expose().starts_with("trc_"));
    assert_eq!(token.expose().len(), 4 + 43);
    assert!(f.auth.first_token().unwrap().is_none());
    f.auth.check(Role::Admin, &header(token.expose()), ADDRESS).unwrap();
    let text = std::fs::read_to_string(&f.file).unwrap();
    assert!(!text.contains(token.expose()));
    assert_eq!(format!("{token:?}"), "Secret(..)");
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let f = fixture(false);
    f.auth.first_token().unwrap();
    assert_eq!(std::fs::metadata(&f.file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn on_loopback_only_changes_need_a_token() {
    let f = fixture(false);
    let none = HeaderMap::new();
    f.auth.check(Role::Query, &none, ADDRESS).unwrap();
    f.auth.check(Role::Ingest, &header("trc_wrong"), ADDRESS).unwrap();
    let refused = f.auth.check(Role::Admin, &none, ADDRESS);
    assert!(matches!(refused, Err(Error::Unauthenticated(_))));
}

#[test]
fn roles_do_not_cover_each_other() {
    let f = fixture(true);
    for given in [Role::Ingest, Role::Query, Role::Admin] {
        let token = f.auth.create(given.as_str(), given, None).unwrap();
        for needed in [Role::Ingest, Role::Query, Role::Admin] {
            let result = f.auth.check(needed, &header(token.expose()), ADDRESS);
            let is_allowed = given == needed || given == Role::Admin;
            assert_eq!(result.is_ok(), is_allowed, "{given:?} for {needed:?}");
        }
    }
}

#[test]
fn a_token_ends_at_its_expiry() {
    let f = fixture(true);
    let token = f.auth.create("short", Role::Query, Some(Duration::from_secs(10))).unwrap();
    f.auth.check(Role::Query, &header(token.expose()), ADDRESS).unwrap();
    f.clock.set(1_010 * NANOS_PER_SECOND);
    assert!(f.auth.check(Role::Query, &header(token.expose()), ADDRESS).is_err());
}

#[test]
fn another_process_can_make_and_revoke_tokens() {
    let f = fixture(true);
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&f.clock);
    let command = Auth::open(f.file.clone(), true, clock).unwrap();
    let token = command.create("ci", Role::Query, None).unwrap();
    f.auth.check(Role::Query, &header(token.expose()), ADDRESS).unwrap();
    assert!(command.revoke("ci").unwrap());
    assert!(!command.revoke("ci").unwrap());
    assert!(f.auth.check(Role::Query, &header(token.expose()), ADDRESS).is_err());
}

#[test]
fn the_last_admin_token_stays() {
    let f = fixture(true);
    f.auth.create("one", Role::Admin, None).unwrap();
    assert!(matches!(f.auth.revoke("one"), Err(Error::Invalid(_))));
    f.auth.create("two", Role::Admin, None).unwrap();
    assert!(f.auth.revoke("one").unwrap());
    assert!(f.auth.create("two", Role::Query, None).is_err());
}

#[test]
fn a_damaged_file_is_not_taken_for_an_empty_one() {
    let f = fixture(true);
    for text in ["", "{}", "{\"version\":9,\"tokens\":[]}"] {
        std::fs::write(&f.file, text).unwrap();
        assert!(f.auth.list().is_err(), "{text:?}");
        let refused = f.auth.check(Role::Query, &header("trc_x"), ADDRESS);
        assert!(matches!(refused, Err(Error::Tokens { .. })), "{text:?}");
    }
}

#[test]
fn twenty_wrong_tokens_block_their_address_for_a_minute() {
    let f = fixture(true);
    let token = f.auth.create("ci", Role::Query, None).unwrap();
    for _ in 0..20 {
        let refused = f.auth.check(Role::Query, &header("trc_wrong"), ADDRESS);
        assert!(matches!(refused, Err(Error::Unauthenticated(_))));
    }
    let blocked = f.auth.check(Role::Query, &header(token.expose()), ADDRESS);
    assert!(matches!(blocked, Err(Error::TooManyAttempts { .. })));
    let other = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));
    f.auth.check(Role::Query, &header(token.expose()), other).unwrap();
    f.clock.set(1_060 * NANOS_PER_SECOND);
    f.auth.check(Role::Query, &header(token.expose()), ADDRESS).unwrap();
}

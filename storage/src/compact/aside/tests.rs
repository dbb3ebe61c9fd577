use super::*;

#[tokio::test]
async fn an_answer_comes_back_and_a_panic_is_an_error() {
    assert_eq!(aside("add", || 1 + 1).await.unwrap(), 2);
    let failed = aside("fail", || -> u32 { panic!("as asked") }).await;
    assert!(matches!(failed, Err(Error::Table { step: "fail", .. })), "{failed:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn only_the_thread_aside_and_those_it_begins_step_back() {
    let niceness = || rustix::process::getpriority_process(None).unwrap();
    let before = niceness();
    let below = aside("ask", move || {
        let inner = std::thread::spawn(niceness).join().unwrap();
        (niceness(), inner)
    });
    let below = below.await.unwrap();
    let expected = (before + NICER).min(19);
    assert_eq!((below, niceness()), ((expected, expected), before));
}

use std::collections::BTreeMap;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn listening(listen: ListenFlags) -> anyhow::Result<Config> {
    Config::load_listening(&Flags::default(), &listen, &BTreeMap::new())
}

fn on(host: &str, insecure: bool) -> anyhow::Result<Config> {
    listening(ListenFlags { listen: Some(host.into()), insecure, ..Default::default() })
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spanlake.toml");
    std::fs::write(
        &file,
        "data = \"from-file\"\nttl = \"3d\"\n[query]\nrunning_max = 2\ntime_max = \"10s\"\nwaiting_max = 5\n",
    )
    .unwrap();
    let flags = Flags {
        config: Some(file),
        data: Some("from-flag".into()),
        set: vec!["query.running_max=4".into()],
        ..Default::default()
    };
    let environment = environment(&[
        ("SPANLAKE_DATA", "from-environment"),
        ("SPANLAKE_QUERY_RUNNING_MAX", "3"),
        ("SPANLAKE_QUERY_TIME_MAX", "20s"),
    ]);
    let config = Config::load(&flags, &environment).unwrap();
    assert_eq!(config.data, "from-flag");
    assert_eq!(config.query.running_max, 4);
    assert_eq!(config.query.time_max, Duration::from_secs(20));
    assert_eq!(config.query.waiting_max, 5);
    assert_eq!(config.storage.ttl, Some(Duration::from_secs(3 * 86_400)));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    let mut config = Config::default();
    let error = config.read_toml("[query]\ntimemax = \"1s\"\n").unwrap_err().to_string();
    assert!(error.contains("\"query.time_max\""), "{error}");
    let error = Config::load(
        &Flags::default(),
        &environment(&[("SPANLAKE_DATE", "x"), ("SPANLAKE_CRASH_SEED", "1")]),
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("did you mean SPANLAKE_DATA?"), "{error}");
}

#[test]
fn the_printed_configuration_reads_back_to_the_same_settings() {
    let mut config = Config::default();
    let text = config.annotated();
    let mut again = Config { data: "other".into(), ..Default::default() };
    again.query.time_max = Duration::from_secs(1);
    again.listen.ui = None;
    again.read_toml(&text).unwrap();
    assert_eq!(again.annotated(), text);
    assert_eq!(format!("{again:?}"), format!("{config:?}"));
}

#[test]
fn an_address_beyond_this_machine_needs_insecure_and_tokens() {
    let error = on("0.0.0.0", false).unwrap_err().to_string();
    assert!(error.contains("--insecure"), "{error}");
    let one = ListenFlags { ui_listen: Some("192.0.2.1:80".into()), ..Default::default() };
    assert!(listening(one).is_err());
    assert!(on("0.0.0.0", true).unwrap().tokens_required());
    assert!(!on("127.0.0.1", true).unwrap().tokens_required());
}

#[test]
fn listen_takes_hosts_free_ports_and_single_doors() {
    let config = listening(ListenFlags {
        listen: Some("[::1]:0".into()),
        zipkin_listen: Some("off".into()),
        ui_listen: Some("127.0.0.1:9000".into()),
        ..Default::default()
    })
    .unwrap();
    assert_eq!(config.listen.grpc.unwrap().to_string(), "[::1]:0");
    assert_eq!(config.listen.zipkin, None);
    assert_eq!(config.listen.ui.unwrap().to_string(), "127.0.0.1:9000");
    for wrong in ["127.0.0.1:4317", "localhost", ""] {
        assert!(on(wrong, false).is_err(), "{wrong}");
    }
}

#[test]
fn durations_and_sizes_read_back() {
    for (text, seconds) in [("90s", 90), ("1h30m", 5_400), ("7d", 604_800), ("2w", 1_209_600)] {
        let duration = value::parse_duration(text).unwrap();
        assert_eq!(duration.as_secs(), seconds, "{text}");
        assert_eq!(value::parse_duration(&value::show_duration(duration)), Ok(duration));
    }
    for wrong in ["", "7", "7y", "d", "-1d", "99999999999999d", "1.5h"] {
        assert!(value::parse_duration(wrong).is_err(), "{wrong}");
    }
    let mut size = 0u64;
    value::Value::assign(&mut size, "64MiB").unwrap();
    assert_eq!((size, value::Value::show(&size)), (64 << 20, "64MiB".into()));
    assert!(value::Value::assign(&mut size, "64MB").is_err());
}

#[test]
fn a_remote_table_keeps_its_log_in_a_local_folder() {
    let flags = Flags { data: Some("s3://bucket/spans".into()), ..Default::default() };
    let environment = environment(&[
        ("AWS_ENDPOINT", "http://127.0.0.1:9000"),
        ("AWS_CA_BUNDLE", "/of/another/program.pem"),
    ]);
    let table = Config::load(&flags, &environment).unwrap().table();
    assert_eq!(table.wal_dir, Some(PathBuf::from("./spanlake-wal/default")));
    let Location::ObjectStore { url, options } = table.location else { panic!("not remote") };
    assert_eq!(url, "s3://bucket/spans");
    assert_eq!(options, [("aws_endpoint".to_owned(), "http://127.0.0.1:9000".to_owned())]);
}

#[test]
fn a_share_is_more_than_nothing_and_at_most_all() {
    let mut config = Config::default();
    config.read_toml("[sampling]\nrate = 0.25\n").unwrap();
    assert_eq!(config.ingest.sampling.rate, 0.25);
    assert!(config.annotated().contains("\nrate = 0.25\n"));
    for wrong in ["rate = 0", "rate = 1.5", "rate = -0.5", "rate = \"often\"", "rate = nan"] {
        let error = config.read_toml(&format!("[sampling]\n{wrong}\n")).unwrap_err().to_string();
        assert!(error.contains("sampling.rate"), "{error}");
    }
    let error = config.read_toml("[sampling]\nrat = 0.25\n").unwrap_err().to_string();
    assert!(error.contains("did you mean \"sampling.rate\"?"), "{error}");
}

#[test]
fn rules_are_tables_in_the_file_and_one_line_elsewhere() {
    use ingest::sample::{Goal, Rule};
    let mut config = Config::default();
    config
        .read_toml(
            "[sampling]\nrate = 0.5\n[[sampling.rule]]\nname = \"GET /health\"\nrate = 0\n\
             [[sampling.rule]]\nservice = \"shop\"\ntraces_per_second = 2.5\n",
        )
        .unwrap();
    let rules = config.ingest.sampling.rules.clone();
    let expected = [
        Rule { service: None, name: Some("GET /health".into()), goal: Goal::Rate(0.0) },
        Rule { service: Some("shop".into()), name: None, goal: Goal::TracesPerSecond(2.5) },
    ];
    assert_eq!(rules, expected);
    let mut again = Config::default();
    again.read_toml(&config.annotated()).unwrap();
    assert_eq!(again.ingest.sampling.rules, rules);
    let line = "[{service=\"shop\", name=\"GET /cart\", rate=0.25}]";
    let variable = environment(&[("SPANLAKE_SAMPLING_RULE", line)]);
    let config = Config::load(&Flags::default(), &variable).unwrap();
    assert_eq!(config.ingest.sampling.rules[0].goal, Goal::Rate(0.25));
    for (wrong, words) in [
        ("nam = \"x\"\nrate = 1", "rule 1: unknown field \"nam\"; did you mean \"name\"?"),
        ("service = \"x\"", "say either rate or traces_per_second"),
        ("rate = 1\ntraces_per_second = 1", "say either"),
        ("rate = 1.5", "no share"),
        ("traces_per_second = 0", "no number above 0"),
        ("service = 7\nrate = 1", "service is no text"),
    ] {
        let error = config.clone().read_toml(&format!("[[sampling.rule]]\n{wrong}\n"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with("sampling.rule"), "{error}");
    }
    let error = config.clone().read_toml("[sampling]\nrule = 7\n").unwrap_err().to_string();
    assert!(error.contains("no list"), "{error}");
}

use clap::{CommandFactory, Parser};

use super::*;

#[test]
fn the_command_line_is_well_formed_and_every_command_has_an_example() {
    let command = Cli::command();
    command.clone().debug_assert();
    for command in command.get_subcommands() {
        let name = command.get_name();
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains(&format!("spanlake {name}")), "{name} has no example");
        assert!(command.get_about().is_some(), "{name} has no description");
    }
}

#[track_caller]
fn parses(line: &str) {
    if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
        panic!("{line}: {error}");
    }
}

/// A line of a shell as words, as far as examples need it: quotes, and an end at a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c == ' ' => words.extend(word.take()),
            None if "|<>".contains(c) || (c == '#' && word.is_none()) => break,
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Every call of the program in `text`, also behind a pipe.
fn examples(text: &str) -> Vec<Vec<String>> {
    let calls = text.lines().flat_map(|line| line.split(" | "));
    let calls = calls.map(|call| call.trim().trim_start_matches("target/release/"));
    calls.filter(|call| call.starts_with("spanlake ")).map(words).collect()
}

#[track_caller]
fn all_parse(examples: &[Vec<String>], of: &str) {
    for example in examples {
        if let Err(error) = Cli::try_parse_from(example)
            && !matches!(
                error.kind(),
                clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion
            )
        {
            panic!("{of}: {example:?}: {error}");
        }
    }
}

#[test]
fn examples_of_every_help_text_parse() {
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{}", command.get_name());
        all_parse(&examples, command.get_name());
    }
}

#[test]
fn examples_of_the_pages_parse() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut found = 0;
    for page in pages.chain([root.join("README.md")]) {
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("\n```sh\n").skip(1) {
            let block = block.split("\n```").next().unwrap().replace("\\\n", " ");
            let examples = examples(&block);
            found += examples.len();
            all_parse(&examples, &page.display().to_string());
        }
    }
    assert!(found >= 15, "{found} examples");
}

#[test]
fn commands_of_the_documents_parse() {
    for line in [
        "spanlake serve --data s3://bucket/prefix --wal /var/lib/spanlake/wal --ttl 30d",
        "spanlake serve --listen 127.0.0.1:0 --set query.time_max=60s --flush-interval 1h",
        "spanlake serve --grpc-listen 127.0.0.1:1 --http-listen 127.0.0.1:2 --zipkin-listen off --ui-listen 127.0.0.1:4",
        "spanlake demo --rate 200 --seed 7",
        "spanlake import --data ./old traces.jsonl.gz more.otlp.pb.zst -",
        "spanlake import spans.json --shift-to-now --server http://127.0.0.1:4318",
        "spanlake query --data ./old --format ndjson SELECT",
        "spanlake query --server http://127.0.0.1:8080 SELECT",
        "spanlake tail --service checkout --status error --attribute k=v --root --limit 5 --format json",
        "spanlake export dependencies --format mermaid --from -1h --to now",
        "spanlake partitions --data ./old",
        "spanlake partitions drop 2026-11-01 2026-11-02 --yes --data ./old",
        "spanlake retention plan --data ./old --ttl 30d",
        "spanlake retention set --data ./old 30d",
        "spanlake retention receipts --format json --server http://127.0.0.1:8080",
        "spanlake retention set --rules rules.toml --max-bytes 100GiB --keep-latest 10 --data ./old",
        "spanlake retention plan --max-bytes off",
        "spanlake retention apply",
        "spanlake partitions drop 2026-11-01 --class kept",
        "spanlake pin",
        "spanlake pin 0123456789abcdef0123456789abcdef --note friday",
        "spanlake pin 0123456789abcdef0123456789abcdef --remove",
        "spanlake delete --trace 0123456789abcdef0123456789abcdef --dry-run",
        "spanlake patch",
        "spanlake patch {\"kind\":\"retract\",\"patch\":4} --server http://127.0.0.1:8080",
        "spanlake delete --where-attribute user.id=4711 --now --yes --server http://127.0.0.1:8080",
        "spanlake token create collector --role ingest --expires 365d --data ./old",
        "spanlake doctor --scrub --format json",
        "spanlake check checks.toml --from -1h --server http://127.0.0.1:8080",
        "spanlake check checks.toml --data ./old --format json",
    ] {
        parses(line);
    }
    for line in [
        "spanlake",
        "spanlake query",
        "spanlake query --server http://127.0.0.1:8080 --data ./old SELECT",
        "spanlake partitions drop",
        "spanlake demo --rate 0",
        "spanlake delete",
        "spanlake pin --note x",
        "spanlake delete --trace 0123456789abcdef0123456789abcdef --where-attribute a=b",
        "spanlake export nothing",
    ] {
        assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
    }
}

#[test]
fn columns_put_numbers_to_the_right() {
    let rows = [vec!["a".to_owned(), "1,000".to_owned()], vec!["bb".to_owned(), "7".to_owned()]];
    assert_eq!(columns(&["name", "spans"], &rows), "name  spans\na     1,000\nbb        7\n");
}

//! Builds the page in `web/ui` with npm and lists its files for `page.rs`.
//!
//! Leaves `$OUT_DIR/page.rs`: `pub(crate) static FILES: &[(&str, &[u8])]`, a path below `/` and its bytes.
//! Without npm, or with `SPANLAKE_SKIP_UI=1`, the one file is a page that says how to get the real one: a
//! server without its page is still a whole server.
#![expect(clippy::disallowed_methods, reason = "a build script is configured by its environment")]
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, io};

/// What the page is made of; a change of any of these builds it again.
const SOURCES: [&str; 7] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
];

/// Served where the page could not be built.
const STAND_IN: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Spanlake</title>\n\
<h1>Spanlake is running, without its page</h1>\n\
<p>This binary was built where npm was missing or failed, or with <code>SPANLAKE_SKIP_UI=1</code>.</p>\n\
<p>Install Node.js 20.19 or later with npm and run <code>cargo build</code> again. The HTTP API under \
<code>/api/v1</code> works as it is: see <a href=\"/api/v1/openapi.json\">its description</a>.</p>\n</html>\n";

fn main() {
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let source = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("ui");
    let page = out.join("ui");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SPANLAKE_SKIP_UI");
    for name in SOURCES {
        println!("cargo::rerun-if-changed=ui/{name}");
    }
    if let Err(reason) = build(&source, &page) {
        println!("cargo::warning=the page is not in this binary: {reason}");
        stand_in(&page).expect("write the stand-in page");
    }
    fs::write(out.join("page.rs"), listing(&page).expect("list the page's files"))
        .expect("write page.rs");
}

/// Runs npm; the page is then in `page`. The reason otherwise.
fn build(source: &Path, page: &Path) -> Result<(), String> {
    if env::var_os("SPANLAKE_SKIP_UI").is_some_and(|value| value != "0" && !value.is_empty()) {
        return Err("SPANLAKE_SKIP_UI is set".to_owned());
    }
    // From here on a failure may heal by itself (npm installed, network back): look again at every build.
    if !source.join("package-lock.json").exists() {
        return Err("ui/package-lock.json is missing".to_owned());
    }
    let result = install(source).and_then(|()| run_vite(source, page));
    if result.is_err() {
        println!("cargo::rerun-if-changed=ui/not-built");
    }
    result
}

/// `npm ci`, unless what is installed is newer than the lock file.
fn install(source: &Path) -> Result<(), String> {
    let changed = |path: PathBuf| fs::metadata(path).and_then(|found| found.modified());
    let lock = changed(source.join("package-lock.json")).map_err(|error| error.to_string())?;
    let installed = changed(source.join("node_modules/.package-lock.json"));
    if installed.is_ok_and(|installed| installed >= lock) {
        return Ok(());
    }
    // Who has the tools for the page's tests keeps them.
    let with_tools = source.join("node_modules/typescript").exists();
    let include = if with_tools { "--include=dev" } else { "--omit=dev" };
    npm(source, &["ci", "--ignore-scripts", include, "--no-audit", "--no-fund"])
}

fn run_vite(source: &Path, page: &Path) -> Result<(), String> {
    let page = page.to_str().ok_or("OUT_DIR is not UTF-8")?;
    npm(source, &["run", "--silent", "build", "--", "--outDir", page, "--emptyOutDir"])
}

fn npm(source: &Path, arguments: &[&str]) -> Result<(), String> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program).args(arguments).current_dir(source).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`npm {}` failed: {}", arguments[0], last_words(&output))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("npm is not installed (Node.js 20.19 or later has it)".to_owned())
        }
        Err(error) => Err(format!("npm cannot be run: {error}")),
    }
}

/// The end of what a failed command said, on one line.
fn last_words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

fn stand_in(page: &Path) -> io::Result<()> {
    if page.exists() {
        fs::remove_dir_all(page)?;
    }
    fs::create_dir_all(page)?;
    fs::write(page.join("index.html"), STAND_IN)
}

/// `page.rs`: every file below `page`, in the order of their paths.
fn listing(page: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    collect(page, "", &mut names)?;
    names.sort();
    let mut text = "/// Files of the page: path below `/`, bytes.\n\
        pub(crate) static FILES: &[(&str, &[u8])] = &[\n"
        .to_owned();
    for name in names {
        let path = format!("concat!(env!(\"OUT_DIR\"), \"/ui/{name}\")");
        writeln!(text, "    (\"{name}\", include_bytes!({path})),").map_err(io::Error::other)?;
    }
    text.push_str("];\n");
    Ok(text)
}

fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), names)?;
        } else {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

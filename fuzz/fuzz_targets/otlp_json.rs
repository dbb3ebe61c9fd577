//! OTLP JSON: no panic, and door and store agree.
#![no_main]
use ingest::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    fuzz::read(Format::OtlpJson, body);
});

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, DictionaryArray,
    Float64Array, Int64Array, ListArray, StringArray, StringViewArray, StructArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use expect_test::{Expect, expect};
use futures::executor::block_on;
use storage::Kind;

use super::*;

fn json_field(name: &str) -> Field {
    let metadata = [("spanlake.json".to_owned(), "true".to_owned())];
    Field::new(name, DataType::Utf8, true).with_metadata(metadata.into())
}

fn batch() -> RecordBatch {
    let dictionary: DictionaryArray<Int32Type> =
        vec![Some("a"), None, Some("a")].into_iter().collect();
    let inner = StructArray::from(vec![
        (
            Arc::new(Field::new("n", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
        ),
        (
            Arc::new(json_field("j")),
            Arc::new(StringArray::from(vec![Some("{\"x\":1}"), None])) as ArrayRef,
        ),
    ]);
    let element = Arc::new(Field::new("element", inner.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0, 0]);
    let list = ListArray::new(element, offsets, Arc::new(inner), None);
    let columns: Vec<(Field, ArrayRef)> = vec![
        (
            Field::new("id", DataType::Int64, false),
            Arc::new(Int64Array::from(vec![i64::MAX, -1, 0])),
        ),
        (
            Field::new("big", DataType::UInt64, false),
            Arc::new(UInt64Array::from(vec![u64::MAX, 0, 1])),
        ),
        (
            Field::new("f", DataType::Float64, true),
            Arc::new(Float64Array::from(vec![Some(1.0), Some(f64::NAN), None])),
        ),
        (
            Field::new("ok", DataType::Boolean, true),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        (
            Field::new(
                "t",
                DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, Some("UTC".into())),
                true,
            ),
            Arc::new(
                TimestampNanosecondArray::from(vec![
                    Some(1_795_255_200_123_456_789),
                    Some(-1),
                    None,
                ])
                .with_timezone("UTC"),
            ),
        ),
        (
            Field::new("d", DataType::Date32, true),
            Arc::new(Date32Array::from(vec![Some(20_778), Some(-1), None])),
        ),
        (
            Field::new("s", DataType::Utf8View, true),
            Arc::new(StringViewArray::from(vec![Some("a\"b\\\n\u{1}é"), Some(""), None])),
        ),
        (Field::new("dict", dictionary.data_type().clone(), true), Arc::new(dictionary)),
        (
            Field::new("bin", DataType::Binary, true),
            Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None, Some(b"")])),
        ),
        (
            json_field("attributes"),
            Arc::new(StringArray::from(vec![Some("{\"k\":1.0}"), Some("no json"), None])),
        ),
        (Field::new("list", list.data_type().clone(), true), Arc::new(list)),
    ];
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn answer(batches: Vec<query::Result<RecordBatch>>) -> Answer {
    let schema = batch().schema();
    Answer { schema, batches: stream::iter(batches).boxed(), notes: Vec::new() }
}

/// The bytes, and the error where it ended with one.
fn encode(answer: Answer, format: Format) -> (Vec<u8>, Option<Error>) {
    let options = Options { request_id: "r1".to_owned(), ..Options::default() };
    let pieces: Vec<Result<Bytes>> = block_on(stream(answer, format, options).collect());
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

#[track_caller]
fn check(format: Format, expected: Expect) {
    let (bytes, error) = encode(answer(vec![Ok(batch())]), format);
    assert!(error.is_none());
    expected.assert_eq(&String::from_utf8(bytes).unwrap().replace("\r\n", "\n"));
}

#[test]
fn rows_are_objects_in_column_order() {
    check(
        Format::Json,
        expect![[r#"
            [
            {"id":9223372036854775807,"big":18446744073709551615,"f":1.0,"ok":true,"t":"2026-11-21T10:00:00.123456789Z","d":"2026-11-21","s":"a\"b\\\n\u0001é","dict":"a","bin":"00ff","attributes":{"k":1.0},"list":[{"n":1,"j":{"x":1}},{"n":2,"j":null}]},
            {"id":-1,"big":0,"f":null,"ok":null,"t":"1969-12-31T23:59:59.999999999Z","d":"1969-12-31","s":"","dict":null,"bin":null,"attributes":"no json","list":[]},
            {"id":0,"big":1,"f":null,"ok":false,"t":null,"d":null,"s":null,"dict":"a","bin":"","attributes":null,"list":[]}
            ]
        "#]],
    );
}

#[test]
fn csv_tells_null_from_empty() {
    check(
        Format::Csv,
        expect![[r#"
            id,big,f,ok,t,d,s,dict,bin,attributes,list
            9223372036854775807,18446744073709551615,1.0,true,2026-11-21T10:00:00.123456789Z,2026-11-21,"a""b\
            é",a,00ff,"{""k"":1.0}","[{""n"":1,""j"":{""x"":1}},{""n"":2,""j"":null}]"
            -1,0,,,1969-12-31T23:59:59.999999999Z,1969-12-31,"",,,no json,[]
            0,1,,false,,,,a,"",,[]
        "#]],
    );
}

#[test]
fn ndjson_has_a_line_a_row() {
    let (bytes, _) = encode(answer(vec![Ok(batch()), Ok(batch())]), Format::Ndjson);
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 6);
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn no_rows_are_an_empty_array() {
    let (bytes, _) = encode(answer(vec![]), Format::Json);
    assert_eq!(bytes, b"[]\n");
}

#[test]
fn a_failure_in_mid_stream_cannot_be_missed() {
    for format in Format::ALL {
        let failure =
            query::Error { kind: Kind::TimedOut, message: "too slow".into(), source: None };
        let (bytes, error) = encode(answer(vec![Ok(batch()), Err(failure)]), format);
        assert_eq!(error.unwrap().status().1, "timed_out", "{format:?}");
        let text = String::from_utf8_lossy(&bytes);
        match format {
            Format::Ndjson => assert!(text.ends_with(
                "\n{\"error\":{\"kind\":\"timed_out\",\"message\":\"too slow\",\"request_id\":\"r1\"}}\n"
            )),
            Format::Json => assert!(!text.trim_end().ends_with(']')),
            _ => {}
        }
    }
}

#[test]
fn arrow_and_parquet_read_back_equal() {
    let (bytes, _) = encode(answer(vec![Ok(batch()), Ok(batch())]), Format::Arrow);
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
    let arrow: Vec<RecordBatch> = reader.collect::<Result<_, _>>().unwrap();
    let (bytes, _) = encode(answer(vec![Ok(batch()), Ok(batch())]), Format::Parquet);
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes));
    let parquet: Vec<RecordBatch> =
        reader.unwrap().build().unwrap().collect::<Result<_, _>>().unwrap();
    for batches in [arrow, parquet] {
        let all = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
        assert_eq!(all.num_rows(), 6);
        assert_eq!(
            all.column_by_name("id")
                .unwrap()
                .as_primitive::<arrow::datatypes::Int64Type>()
                .value(3),
            i64::MAX
        );
        assert_eq!(all.column_by_name("s").unwrap().as_string::<i32>().value(3), "a\"b\\\n\u{1}é");
        assert_eq!(all.column_by_name("list").unwrap().as_list::<i32>().value_length(0), 2);
    }
}

#[test]
fn texts_that_look_like_formulas_are_guarded_and_numbers_are_not() {
    let texts = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "x=1", "'"];
    let numbers: Vec<i64> = (0..8).map(|number| -number).collect();
    let columns: [(&str, ArrayRef); 2] = [
        ("t", Arc::new(StringArray::from(texts.to_vec()))),
        ("n", Arc::new(Int64Array::from(numbers))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let write = |formula_guard| {
        let mut csv = csv::Csv::new(&batch.schema(), formula_guard);
        let mut out = Vec::new();
        csv.begin(&mut out).unwrap();
        csv.batch(&batch, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        write(true),
        "t,n\r\n'=1+1,0\r\n'+x,-1\r\n'-x,-2\r\n'@x,-3\r\n'\tx,-4\r\n\"'\rx\",-5\r\nx=1,-6\r\n',-7\r\n"
    );
    assert!(write(false).starts_with("t,n\r\n=1+1,0\r\n+x,-1\r\n"));
}

#[test]
fn a_table_is_aligned_and_cannot_drive_the_terminal() {
    let columns: [(&str, ArrayRef); 2] = [
        ("service", Arc::new(StringArray::from(vec!["cart", "\u{1b}[31mred"]))),
        ("spans", Arc::new(Int64Array::from(vec![7, 12_345]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let answer = Answer {
        schema: batch.schema(),
        batches: stream::iter([Ok(batch)]).boxed(),
        notes: Vec::new(),
    };
    let (bytes, _) = encode(answer, Format::Table);
    expect![[r"
        service        spans
        -------------  -----
        cart               7
        \u{1b}[31mred  12345
        (2 rows)
    "]]
    .assert_eq(&String::from_utf8(bytes).unwrap());
}

#[test]
fn large_batches_go_out_in_pieces() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let answer = Answer {
        schema: batch.schema(),
        batches: stream::iter([Ok(batch)]).boxed(),
        notes: Vec::new(),
    };
    let pieces: Vec<_> = block_on(stream(answer, Format::Json, Options::default()).collect());
    assert!(pieces.len() > 5);
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap()).collect();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(rows.len(), 100_000);
    assert_eq!(rows[99_999]["n"], 99_999);
}

#[test]
fn accept_chooses_the_format() {
    let cases = [
        ("", Format::Json),
        ("*/*", Format::Json),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Json),
        ("text/csv", Format::Csv),
        ("application/x-ndjson", Format::Ndjson),
        ("text/csv;q=0.5, application/vnd.apache.parquet", Format::Parquet),
        ("text/csv;q=0", Format::Json),
    ];
    for (accept, format) in cases {
        assert_eq!(Format::from_accept(accept), format, "{accept}");
    }
    assert!("xml".parse::<Format>().is_err());
}

#[test]
fn dates_agree_with_the_calendar() {
    for days in (-200_000..200_000).step_by(37) {
        let mut out = Vec::new();
        text::date(days, &mut out);
        let date = chrono::NaiveDate::default() + chrono::TimeDelta::days(days);
        assert_eq!(String::from_utf8(out).unwrap(), date.to_string());
    }
}

#[test]
fn fields_without_columns_are_empty_objects() {
    let empty = StructArray::new_empty_fields(2, None);
    let batch = RecordBatch::try_from_iter([("s", Arc::new(empty) as ArrayRef)]).unwrap();
    assert_eq!(batch.column(0).data_type(), &DataType::Struct(Fields::empty()));
    let mut out = Vec::new();
    Objects::new(&batch).unwrap().write(1, &mut out);
    assert_eq!(out, b"{\"s\":{}}");
}

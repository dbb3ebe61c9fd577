use super::*;

fn line(id: u32) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id:032x}","spanId":"{id:016x}","name":"n","startTimeUnixNano":"1","endTimeUnixNano":"2"}}]}}]}}]}}"#
    ) + "\n"
}

fn spans(batch: &Batch) -> u64 {
    let take = |piece: &Piece| {
        Census::take(piece.format, &piece.body, &Config::default(), TimeRange::ALL)
            .unwrap()
            .stored()
    };
    batch.pieces.iter().map(take).sum()
}

/// A protobuf request of one span.
fn request(id: u8) -> Vec<u8> {
    let span = [&[0x0a, 16][..], &[id; 16], &[0x12, 8], &[id; 8]].concat();
    let wrap =
        |field: u8, inner: &[u8]| [&[field, u8::try_from(inner.len()).unwrap()], inner].concat();
    wrap(0x0a, &wrap(0x12, &wrap(0x12, &span)))
}

fn framed(request: &[u8], big: bool) -> Vec<u8> {
    let length = u32::try_from(request.len()).unwrap();
    let length = if big { length.to_be_bytes() } else { length.to_le_bytes() };
    [&length, request].concat()
}

#[test]
fn a_line_without_its_end_waits() {
    let whole = [line(1), line(2)].concat();
    for cut in 0..whole.len() {
        let batch = Framing::Lines.cut(&whole.as_bytes()[..cut], 0, false).unwrap();
        let complete = u64::from(cut >= line(1).len());
        assert_eq!((spans(&batch), batch.skipped.len()), (complete, 0), "{cut}");
    }
    let ended = Framing::Lines.cut(whole.trim_end().as_bytes(), 0, true).unwrap();
    assert_eq!((spans(&ended), ended.taken), (2, whole.len() - 1));
}

#[test]
fn lines_that_cannot_be_read_are_left_out_with_their_position() {
    let bad = [
        "hello\n",
        "{\"resourceSpans\":[{\"scopeSpans\":7}]}\n",
        "{\"resourceSpans\":\n",
        "[1]\n",
        "\0\0\0\n",
    ];
    for bad in bad {
        let text = [line(1), bad.to_owned(), line(2)].concat();
        let batch = Framing::Lines.cut(text.as_bytes(), 1_000, false).unwrap();
        assert_eq!((spans(&batch), batch.taken), (2, text.len()), "{bad:?}");
        let [skipped] = &batch.skipped[..] else { panic!("{bad:?} {:?}", batch.skipped) };
        assert_eq!(skipped.offset, 1_000 + line(1).len() as u64, "{bad:?}");
        assert_eq!(skipped.bytes, bad.len() as u64);
        assert!(!skipped.reason.is_empty());
    }
    let blank = Framing::Lines.cut(b"\n  \r\n", 0, false).unwrap();
    assert_eq!((blank.taken, blank.skipped.len(), blank.pieces.len()), (5, 0, 0));
}

#[test]
fn lines_of_all_formats_may_stand_in_one_file() {
    let text = [
        line(1),
        "[{\"traceId\":\"5\",\"id\":\"6\"}]\n".to_owned(),
        "{\"traceId\":\"7\",\"id\":\"8\",\"timestamp\":5}\r\n".to_owned(),
        "{\"data\":[{\"traceID\":\"9\",\"spans\":[{\"traceID\":\"9\",\"spanID\":\"a\"}],\"processes\":{}}]}\n".to_owned(),
    ]
    .concat();
    let batch = Framing::Lines.cut(text.as_bytes(), 0, false).unwrap();
    assert_eq!((spans(&batch), batch.skipped.len(), batch.taken), (4, 0, text.len()));
}

#[test]
fn framed_requests_are_recognised_as_soon_as_the_first_is_there() {
    for (big, framing) in [(true, Framing::BigEndian), (false, Framing::LittleEndian)] {
        let first = framed(&request(1), big);
        let file = [first.clone(), framed(&request(2), big)].concat();
        for cut in 0..=file.len() {
            let expected =
                if cut < first.len() { Recognised::Early } else { Recognised::Framing(framing) };
            assert_eq!(recognise(&file[..cut]), expected, "{cut}");
            let batch = framing.cut(&file[..cut], 0, false).unwrap();
            let complete = u64::from(cut >= first.len()) + u64::from(cut == file.len());
            assert_eq!((spans(&batch), batch.skipped.len()), (complete, 0), "{cut}");
        }
    }
}

#[test]
fn a_framed_request_that_cannot_be_read_is_left_out_and_a_wild_length_ends_the_file() {
    let file =
        [framed(&request(1), true), framed(b"garbage", true), framed(&request(2), true)].concat();
    let batch = Framing::BigEndian.cut(&file, 0, false).unwrap();
    assert_eq!((spans(&batch), batch.skipped.len(), batch.taken), (2, 1, file.len()));
    let wild = [framed(&request(1), true), vec![0xff; 40]].concat();
    let batch = Framing::BigEndian.cut(&wild, 0, false).unwrap();
    assert_eq!((spans(&batch), batch.taken), (1, wild.len() - 40));
    assert!(Framing::BigEndian.cut(&wild[batch.taken..], 0, false).unwrap_err().contains("length"));
}

#[test]
fn what_cannot_be_followed_is_said_so() {
    assert_eq!(recognise(b""), Recognised::Early);
    assert_eq!(recognise(b" \n"), Recognised::Early);
    assert_eq!(recognise(b"{"), Recognised::Framing(Framing::Lines));
    for unknown in
        [&b"\x1f\x8b\x08\0\0\0\0\0"[..], b"\x28\xb5\x2f\xfd....", b"hello world", b"\x89PNG\r\n"]
    {
        assert_eq!(recognise(unknown), Recognised::Unknown, "{unknown:?}");
    }
}

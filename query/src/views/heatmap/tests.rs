use super::*;

#[test]
fn the_width_of_columns_can_be_read_off_a_clock() {
    let second = 1_000 * MILLI;
    let extent = |nanos: i64| TimeRange { from: 7, until: 7 + nanos };
    assert_eq!(width(extent(0)), MILLI);
    assert_eq!(width(extent(60 * second)), second);
    assert_eq!(width(extent(3_600 * second)), 60 * second);
    assert_eq!(width(extent(86_400 * second)), 1_800 * second);
    assert_eq!(width(extent(7 * 86_400 * second)), 10_800 * second);
    for nanos in [1, 59 * second, 3_601 * second, 40_000_000 * second, i64::MAX - 7] {
        let columns = nanos / width(extent(nanos));
        assert!(columns <= COLUMNS, "{columns} of {nanos}");
    }
}

#[test]
fn what_is_no_width_or_no_number_of_rows_is_refused() {
    let roots = || Roots { range: TimeRange::ALL, service: None, name: None };
    assert!(Heatmap::new(roots(), Some(MILLI - 1), None).is_err());
    assert!(Heatmap::new(roots(), None, Some(3)).is_err());
    assert!(Heatmap::new(roots(), None, Some(128)).is_err());
    assert!(Heatmap::new(roots(), Some(MILLI), Some(64)).is_ok());
}

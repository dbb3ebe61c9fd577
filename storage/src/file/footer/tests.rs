use std::sync::Arc;

use object_store::memory::InMemory;
use uuid::Uuid;

use super::*;
use crate::config::Config;
use crate::error::Kind;
use crate::flush::{self, tests as made};
use crate::id::WalSeq;
use crate::schema::AttributeColumns;
use crate::table::Table;
use crate::table::place::Place;
use crate::time::ManualClock;

#[test]
fn a_tag_survives_the_round_trip_and_others_are_none() {
    let footer = Footer { bytes: 1_234, checksum: 0xff };
    assert_eq!(footer.to_tag(), "1234:00000000000000ff");
    assert_eq!(Footer::from_tag(&footer.to_tag()), Some(footer));
    for other in ["", "12", "x:00", "12:zz"] {
        assert_eq!(Footer::from_tag(other), None, "{other:?}");
    }
}

#[tokio::test]
async fn a_bit_that_flips_in_footer_or_page_index_is_noticed() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let url = url::Url::parse("memory:///default/").unwrap();
    let place = Place::at(store, &Path::from("default"), &url).unwrap();
    let config = Config { ttl: None, ..Config::in_folder("unused") };
    let clock = Arc::new(ManualClock::at(made::DAY));
    let table = Table::open(place, &config, Uuid::nil(), clock).await.unwrap();
    let batches = [made::batch(&[made::span(1, 1, None, made::DAY)], Vec::new())];
    let columns = AttributeColumns::from_start();
    flush::flush(&table, &batches, &columns, WalSeq(1)).await.unwrap();

    let file = Arc::clone(&table.state().files[0]);
    let store = table.object_store();
    let footer = file.read_footer(&store).await.unwrap().unwrap();
    let mut reader = parquet::file::metadata::ParquetMetaDataReader::new()
        .with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Required);
    reader.try_parse_sized(&footer, file.bytes).unwrap();
    assert_eq!(reader.finish().unwrap().file_metadata().num_rows(), 1);

    let path = Path::from(file.path.as_str());
    let whole = store.get(&path).await.unwrap().bytes().await.unwrap();
    let begin = whole.len() - footer.len();
    for place in (begin..whole.len()).step_by(7) {
        let mut damaged = whole.to_vec();
        damaged[place] ^= 1 << (place % 8);
        store.put(&path, damaged.into()).await.unwrap();
        let error = file.read_footer(&store).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{place}");
    }
}

//! New values of the columns of callers and roots, for rows whose parent or root was in another file.
use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::Int32Type;

use super::source::Source;
use crate::error::Result;
use crate::file::chunk::NULL;
use crate::flush::mend::{Known, MENDED};
use crate::rollup::Names;
use crate::schema::AttributeColumns;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mends {
    /// By file and row group.
    groups: BTreeMap<(usize, usize), Vec<Mend>>,
    names: Names,
}

/// The new values of one row.
#[derive(Debug, Clone, Copy)]
struct Mend {
    row: usize,
    /// By place in [`MENDED`] the key of the text; [`NULL`] where nothing changes.
    keys: [u32; 4],
}

/// A column of one row group, with its new values.
#[derive(Debug)]
pub(super) struct MendedColumn {
    pub(super) name: &'static str,
    /// By row.
    pub(super) keys: Vec<u32>,
    names: Names,
}

impl MendedColumn {
    /// The texts by key.
    pub(super) fn texts(&self) -> Vec<&[u8]> {
        self.names.texts().iter().map(|text| text.as_bytes()).collect()
    }
}

impl Mends {
    /// Takes what is known of a row; `places` says by row the file, row group and row there.
    pub(super) fn add(&mut self, known: Known, places: &[(usize, usize, usize)]) {
        let (file, group, row) = places[known.row];
        let names = &mut self.names;
        let keys = known.texts.map(|text| text.map_or(NULL, |text| names.key(&text)));
        self.groups.entry((file, group)).or_default().push(Mend { row, keys });
    }

    /// The columns with new values.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        let is_mended =
            |place: &usize| self.groups.values().flatten().any(|mend| mend.keys[*place] != NULL);
        (0..MENDED.len()).filter(is_mended).map(|place| MENDED[place])
    }

    /// The columns of a row group that have new values there, whole.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) async fn of_group(
        &self,
        source: &Source,
        place: (usize, usize),
        attributes: &AttributeColumns,
    ) -> Result<Vec<MendedColumn>> {
        let mut columns = Vec::new();
        let Some(mends) = self.groups.get(&place) else { return Ok(columns) };
        for (number, name) in MENDED.into_iter().enumerate() {
            if mends.iter().all(|mend| mend.keys[number] == NULL) {
                continue;
            }
            let mut column = read(source, place.1, name, attributes).await?;
            for mend in mends.iter().filter(|mend| mend.keys[number] != NULL) {
                column.keys[mend.row] = column.names.key(self.names.text(mend.keys[number]));
            }
            columns.push(column);
        }
        Ok(columns)
    }
}

async fn read(
    source: &Source,
    group: usize,
    name: &'static str,
    attributes: &AttributeColumns,
) -> Result<MendedColumn> {
    let mut column = MendedColumn { name, keys: Vec::new(), names: Names::default() };
    if source.leaves(name).is_empty() {
        column.keys.resize(source.rows(group), NULL);
        return Ok(column);
    }
    for batch in source.read(group, &|wanted| wanted == name, None, attributes).await? {
        let array = batch.column(0).as_dictionary::<Int32Type>();
        let texts: &StringArray = array.values().as_string::<i32>();
        let mut known = vec![NULL; texts.len()];
        for key in array.keys() {
            let key = key.and_then(|key| usize::try_from(key).ok());
            let key = key.filter(|key| texts.is_valid(*key));
            column.keys.push(key.map_or(NULL, |key| {
                if known[key] == NULL {
                    known[key] = column.names.key(texts.value(key));
                }
                known[key]
            }));
        }
    }
    Ok(column)
}

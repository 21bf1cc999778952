//! Figures of the whole database, in SQL.

use super::Sqlite;
use crate::model::Timestamp;
use crate::store::{StoreError, StoreFigures, Survey};

impl Survey for Sqlite {
    fn survey(&self) -> Result<StoreFigures, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&StoreFigures::sql("?1"))?;
            let mut rows = statement.query((Timestamp::now(),))?;
            let mut figures = StoreFigures::default();
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                figures.add(&name, row.get(1)?);
            }
            Ok(figures)
        })
    }
}

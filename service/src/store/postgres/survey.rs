//! Figures of the whole database, in SQL.

use super::Postgres;
use super::clock::STORE_NOW;
use crate::store::{StoreError, StoreFigures, Survey};

impl Survey for Postgres {
    fn survey(&self) -> Result<StoreFigures, StoreError> {
        let sql = StoreFigures::sql(STORE_NOW);
        let rows = self.read(|connection| connection.rows(&sql, &[]))?;
        let mut figures = StoreFigures::default();
        for row in &rows {
            figures.add(row.try_get(0)?, row.try_get(1)?);
        }
        Ok(figures)
    }
}

//! `data_processing`: statistics over `numbers`, or over the columns of `csv`.
//!
//! `csv` is text whose first line names the columns; `columns` chooses some, otherwise all that
//! hold a number are taken. An empty cell is missing.

use serde_json::{Map, Value, json};

use super::parameters::{Parameters, wrong};
use super::statistics::Statistics;
use super::{Progress, WorkError};

pub(super) fn perform(
    parameters: Parameters<'_>,
    progress: &mut Progress<'_>,
) -> Result<Value, WorkError> {
    if let Some(csv) = parameters.text("csv")? {
        let columns = read_columns(csv, parameters.optional("columns")?)?;
        progress(50)?;
        return of_columns(columns);
    }
    let numbers: Vec<f64> = parameters
        .required("numbers")
        .map_err(|_| wrong("numbers", "must be a list of numbers, or csv a text"))?;
    let statistics = Statistics::of(numbers).ok_or_else(|| wrong("numbers", "is empty"))?;
    Ok(json!({ "statistics": statistics }))
}

#[derive(Debug, Default)]
struct Column {
    name: String,
    at: usize,
    /// Asked for by name: a cell that is no number is then an error.
    wanted: bool,
    numbers: Vec<f64>,
    missing: usize,
    numeric: bool,
}

fn read_columns(text: &str, wanted: Option<Vec<String>>) -> Result<Vec<Column>, WorkError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(malformed)?.clone();
    let column = |(at, name): (usize, &str)| Column {
        name: name.to_owned(),
        at,
        wanted: wanted.is_some(),
        numeric: true,
        ..Column::default()
    };
    let mut columns: Vec<Column> = header.iter().enumerate().map(column).collect();
    if let Some(wanted) = &wanted {
        if let Some(unknown) = wanted
            .iter()
            .find(|name| !header.iter().any(|it| it == *name))
        {
            return Err(wrong("columns", &format!("csv has no column {unknown:?}")));
        }
        columns.retain(|column| wanted.contains(&column.name));
    }
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, csv::Position::line);
        for column in &mut columns {
            column.take(record.get(column.at).unwrap_or_default(), line)?;
        }
    }
    columns.retain(|column| column.numeric && !column.numbers.is_empty());
    if columns.is_empty() {
        return Err(wrong("csv", "has no column of numbers"));
    }
    Ok(columns)
}

impl Column {
    fn take(&mut self, cell: &str, line: u64) -> Result<(), WorkError> {
        if cell.is_empty() {
            self.missing += 1;
            return Ok(());
        }
        match cell.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => self.numbers.push(number),
            None if self.wanted => {
                let problem = format!("line {line}, column {:?}: {cell:?} is no number", self.name);
                return Err(wrong("csv", &problem));
            }
            None => self.numeric = false,
        }
        Ok(())
    }
}

fn of_columns(columns: Vec<Column>) -> Result<Value, WorkError> {
    let mut all = Map::new();
    for column in columns {
        let mut statistics = json!(Statistics::of(column.numbers));
        statistics["missing"] = column.missing.into();
        all.insert(column.name, statistics);
    }
    Ok(json!({ "columns": all }))
}

fn malformed(error: csv::Error) -> WorkError {
    wrong("csv", &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::testing::perform;
    use super::*;
    use crate::service::model::TaskType;

    fn process(parameters: Value) -> Result<Value, String> {
        perform(TaskType::DataProcessing, parameters)
    }

    #[test]
    fn numbers_are_summed_up() {
        let result = process(json!({"numbers": [1, 2.5, -3]})).expect("a result");
        assert_eq!(result["statistics"]["sum"], 0.5);
        assert_eq!(result["statistics"]["count"], 3);
    }

    #[test]
    fn columns_of_numbers_are_found() {
        let csv = "name, age, height\nanna, 30, 1.7\nbob, , 1.9\n";
        let result = process(json!({ "csv": csv })).expect("a result");
        let columns = result["columns"].as_object().expect("columns");
        assert_eq!(columns.keys().collect::<Vec<_>>(), ["age", "height"]);
        assert_eq!(
            (&columns["age"]["missing"], &columns["age"]["max"]),
            (&json!(1), &json!(30.0))
        );
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (parameters, part) in [
            (json!({}), "parameters.numbers: must be a list"),
            (json!({"numbers": []}), "is empty"),
            (json!({"numbers": ["a"]}), "must be a list of numbers"),
            (json!({"csv": "a,b\n1\n"}), "parameters.csv"),
            (json!({"csv": "a\nx\n"}), "no column of numbers"),
            (
                json!({"csv": "a\n1\n", "columns": ["b"]}),
                "no column \"b\"",
            ),
            (
                json!({"csv": "a\n1\nnan\n", "columns": ["a"]}),
                "line 3, column \"a\"",
            ),
            (json!({"csv": 5}), "must be a text"),
        ] {
            let error = process(parameters.clone()).expect_err("refused");
            assert!(error.contains(part), "{parameters}: {error}");
        }
    }
}

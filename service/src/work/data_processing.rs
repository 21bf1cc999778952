//! `data_processing`: statistics over `numbers`, or over the columns of `csv`.
//!
//! `csv` is text whose first line names the columns; `columns` selects some; the default is all columns that contain
//! only numbers. An empty cell counts as missing.

use serde_json::{Map, Value, json};

use super::parameters::{Parameters, wrong};
use super::statistics::{NoStatistics, Statistics};
use super::{NoteProgress, WorkError};

pub(super) fn perform(
    parameters: Parameters<'_>,
    progress: &mut NoteProgress<'_>,
) -> Result<Value, WorkError> {
    if let Some(csv) = parameters.text("csv")? {
        let columns = read_columns(&csv, parameters.optional("columns")?)?;
        progress(50)?;
        return of_columns(columns);
    }
    let numbers: Vec<f64> = parameters
        .required("numbers")
        .map_err(|_| wrong("numbers", "must be a list of numbers, or csv a text"))?;
    let statistics =
        Statistics::of(numbers).map_err(|problem| wrong("numbers", &problem.to_string()))?;
    Ok(json!({ "statistics": statistics }))
}

/// Columns that one text may have.
const MOST_COLUMNS: usize = 10_000;

#[derive(Debug, Default)]
struct Column {
    name: String,
    at: usize,
    /// Selected by name: a cell that is no number is an error then.
    wanted: bool,
    numbers: Vec<f64>,
    missing: usize,
    numeric: bool,
}

fn read_columns(text: &str, wanted: Option<Vec<String>>) -> Result<Vec<Column>, WorkError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| malformed(text, &error))?
        .clone();
    if header.len() > MOST_COLUMNS {
        let problem = format!(
            "has {} columns, at most {MOST_COLUMNS} are taken",
            header.len()
        );
        return Err(wrong("csv", &problem));
    }
    let column = |(at, name): (usize, &str)| Column {
        name: name.to_owned(),
        at,
        wanted: wanted.is_some(),
        numeric: true,
        ..Column::default()
    };
    let mut columns: Vec<Column> = header.iter().enumerate().map(column).collect();
    if let Some(wanted) = &wanted {
        if wanted.is_empty() {
            return Err(wrong("columns", "is empty"));
        }
        if let Some(unknown) = wanted
            .iter()
            .find(|name| !header.iter().any(|it| it == *name))
        {
            return Err(wrong("columns", &format!("csv has no column {unknown:?}")));
        }
        columns.retain(|column| wanted.contains(&column.name));
    }
    for record in reader.records() {
        let record = record.map_err(|error| malformed(text, &error))?;
        for column in &mut columns {
            let cell = record.get(column.at).unwrap_or_default();
            column.take(cell).map_err(|problem| {
                let line = record.position().map_or(0, |at| line_of(text, at));
                wrong("csv", &format!("line {line}, {problem}"))
            })?;
        }
    }
    columns.retain(|column| column.wanted || (column.numeric && !column.numbers.is_empty()));
    if columns.is_empty() {
        return Err(wrong("csv", "has no column of numbers"));
    }
    Ok(columns)
}

impl Column {
    /// The error says which cell is no number.
    fn take(&mut self, cell: &str) -> Result<(), String> {
        if cell.is_empty() {
            self.missing += 1;
            return Ok(());
        }
        match cell.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => self.numbers.push(number),
            None if self.wanted => {
                return Err(format!("column {:?}: {cell:?} is no number", self.name));
            }
            None => self.numeric = false,
        }
        Ok(())
    }
}

fn of_columns(columns: Vec<Column>) -> Result<Value, WorkError> {
    let mut all = Map::new();
    for column in columns {
        let problem = |problem: &str| wrong("csv", &format!("column {:?} {problem}", column.name));
        let mut statistics = match Statistics::of(column.numbers) {
            Ok(statistics) => json!(statistics),
            Err(NoStatistics::Empty) => json!({ "count": 0 }),
            Err(too_large) => return Err(problem(&too_large.to_string())),
        };
        statistics["missing"] = column.missing.into();
        if all.contains_key(&column.name) {
            return Err(problem("is there twice"));
        }
        all.insert(column.name, statistics);
    }
    Ok(json!({ "columns": all }))
}

/// The line on which a record begins. The reader's own count leaves out blank lines before the record, and the LF of a
/// CR LF.
fn line_of(text: &str, position: &csv::Position) -> usize {
    let bytes = text.as_bytes();
    let before = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let (before, rest) = bytes.split_at(before.min(bytes.len()));
    let blank = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    let ends = before.iter().chain(blank).filter(|byte| **byte == b'\n');
    ends.count() + 1
}

fn malformed(text: &str, error: &csv::Error) -> WorkError {
    let csv::ErrorKind::UnequalLengths {
        pos: Some(at),
        expected_len,
        len,
    } = error.kind()
    else {
        return wrong("csv", &error.to_string());
    };
    let line = line_of(text, at);
    wrong(
        "csv",
        &format!("line {line} has {len} cells, the first line {expected_len}"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::perform;
    use super::*;
    use crate::model::TaskType;

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
    fn a_column_asked_for_is_there_even_when_empty() {
        let parameters = json!({"csv": "a,b\n1,\n2,\n", "columns": ["a", "b"]});
        let result = process(parameters).expect("a result");
        assert_eq!(result["columns"]["a"]["count"], 2);
        assert_eq!(result["columns"]["b"], json!({"count": 0, "missing": 2}));
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        for (csv, line) in [
            ("a\n1\nx\n", 3),
            ("a\r\n1\r\nx\r\n", 3),
            ("\u{feff}a\n1\n\n\n\nx\n", 6),
            ("a\n\"1\n\"\nx", 4),
        ] {
            let error = process(json!({"csv": csv, "columns": ["a"]})).expect_err("refused");
            assert!(
                error.contains(&format!("line {line}, ")),
                "{csv:?}: {error}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (parameters, part) in [
            (json!({}), "parameters.numbers: must be a list"),
            (json!({"numbers": []}), "is empty"),
            (json!({"numbers": ["a"]}), "must be a list of numbers"),
            (
                json!({"csv": "a,b\r\n1,2\r\n1\r\n"}),
                "csv: line 3 has 1 cells",
            ),
            (json!({"csv": "a,a\n1,2\n"}), "\"a\" is there twice"),
            (
                json!({"csv": "a\n1e308\n1e308\n"}),
                "\"a\" has numbers too large",
            ),
            (
                json!({"numbers": [1e308, 1e308]}),
                "numbers: has numbers too large",
            ),
            (json!({"csv": "a\n1\n", "columns": []}), "columns: is empty"),
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
            (json!({"csv": ",".repeat(10_000)}), "has 10001 columns"),
        ] {
            let error = process(parameters.clone()).expect_err("refused");
            assert!(error.contains(part), "{parameters}: {error}");
        }
    }
}

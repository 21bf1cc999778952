//! The `oxicorn` command.

fn main() -> std::process::ExitCode {
    oxicorn::command()
}

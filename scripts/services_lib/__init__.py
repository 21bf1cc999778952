"""Private PostgreSQL, Redis and Kafka servers for tests and benchmarks; `scripts/services` is the command."""

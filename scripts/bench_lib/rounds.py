"""Several servers under the same load, in turns, so that all of them share the good and bad moments of the machine."""


def run(workload, options):
    """The values of each round, by server and figure. Every server is stopped, whatever happens."""
    with workload.subjects(options) as subjects:
        for subject in subjects.values():
            subject.warm_up()
        measured = {name: {} for name in subjects}
        for number in range(options.rounds):
            # The first one may find a cooler processor, so they take turns.
            first = number % len(subjects)
            for name in [*list(subjects)[first:], *list(subjects)[:first]]:
                figures = subjects[name].measure(options.seconds)
                print(f"{workload.name:17} {number + 1}/{options.rounds} {name:9}", describe(figures), flush=True)
                for key, value in figures.items():
                    measured[name].setdefault(key, []).append(round(value, 4))
    return measured


def describe(figures):
    return "  ".join(f"{key} {value:,.2f}" if value < 100 else f"{key} {value:,.0f}" for key, value in figures.items())

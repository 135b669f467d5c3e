"""How and where things run: one Prefect server per machine, a worker, the deployments, the command line's runs."""

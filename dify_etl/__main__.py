"""`python -m dify_etl`: the command line, as the entry point `dify-etl` starts it."""

from dify_etl.cli.main import main

if __name__ == "__main__":
    main()

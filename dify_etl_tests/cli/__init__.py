"""The command line as users meet it: real processes, a Dify behind a socket."""

"""The command line. One file per command group; commands parse, call and print."""

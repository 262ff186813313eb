"""The model of a spool, and the steps of programs, workers and people that the state machine plays."""

"""Mathematical answers: read into the forms they may mean, and compared, in worker processes."""

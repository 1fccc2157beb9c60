"""What people ask, whichever way they ask: one set of questions, acts and answers for command line, REST and pages."""

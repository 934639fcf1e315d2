"""The doctor: checks one side of facepipe, from the clock to a test face all the way, and says what
to do about each problem. It changes nothing, and removes what it has sent."""

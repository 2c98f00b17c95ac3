// Package crowd is hundreds of users who live on a network while it is being
// hurt. Each is connected all the time, comes back when its connection ends,
// and in between does what people do: changes status and name, blocks, adds
// and removes contacts, talks.
//
// Every line that a client is told is checked as it comes:
//
//   - nobody is told twice what was told before: only differences are sent;
//   - nobody sees an older state after a newer one: names carry a number that
//     grows with each renaming;
//   - nothing said after a block was acknowledged reaches the one blocked;
//   - nobody is seen going offline more often than that user went;
//   - the list version that a user is told never goes back;
//   - what is said in a conversation arrives once, in order, and if it was
//     acknowledged it arrives.
//
// When the crowd rests, [Crowd.Converge] compares what each client was told
// with what follows from the commands that were acknowledged to everybody, and
// with what the directory holds.
package crowd

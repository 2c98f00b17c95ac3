// Package convergence checks that whatever users do at the same time, on
// however many nodes, each client ends up with the truth: after quiet, what it
// was told of its contacts' presence, of its lists and of its list version
// equals what follows from everybody's acknowledged commands.
//
// Users act at random and at once: they log in, log in again elsewhere, hang
// up, change their status and name, edit lists, block and unblock. Each user's
// own commands are answered one after the other, so the user knows what holds
// for it; what holds between users is compared once the network has come to
// rest. The seed is printed; the same seed gives the same choices.
package convergence

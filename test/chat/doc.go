// Package chat checks conversations under everything that members do at once.
// In hundreds of rooms of two to ten members all speak at the same time while
// some leave, lose their connection, stop reading, or are called back. Whatever
// happens:
//
//   - a message that was acknowledged reached every member that was in before it
//     was sent and stayed to the end, and so did one of mode N that was not
//     refused;
//   - nobody gets a message twice, and its bytes are those that were sent;
//   - all members see one order of messages, in which each sender's are in the
//     order of sending;
//   - who stalls is dropped, and nobody else;
//   - at the end everybody knows who is there.
//
// The seed is printed; the same seed makes the same choices.
package chat

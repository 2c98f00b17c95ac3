// Package cluster holds what can only be shown with real processes on real
// stores: that the roles on their own are the same network as all of them in
// one process, that nothing acknowledged is lost when a process is killed, that
// an operator's mistake ends in one clear sentence, that a trace spans nodes;
// and, with a crowd of hundreds of users at work, that whatever dies, hangs, is
// emptied, cut off, filled up, overrun, restarted or upgraded costs them no more
// than was promised. Package network starts the processes, package crowd is the
// users.
//
// A test that has something happen logs what it promises and what it measured,
// in lines that begin with "promise: " and "figure: ". No figure decides
// anything: tests wait for events, with deadlines that only a failing run meets.
//
// Environment: MONARCH_TEST_POSTGRES names a PostgreSQL server on which
// databases may be created; MONARCH_CLUSTER_SEED repeats the random choices of
// a run that failed, MONARCH_CLUSTER_ROUNDS makes the kill test longer,
// MONARCH_SOAK_TIME (for example 20m) the soak, and adds to every other test
// what takes long; MONARCH_TEST_PREVIOUS names the commit to upgrade from.
package cluster

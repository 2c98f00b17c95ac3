// Package cluster holds what can only be shown with real processes on real
// stores: that the roles on their own are the same network as all of them in
// one process, that nothing acknowledged is lost when a process is killed, that
// an operator's mistake ends in one clear sentence, and that a trace spans
// nodes. Package network starts the processes.
//
// Nothing here looks at the clock: tests wait for events, with deadlines that
// only a failing run meets.
//
// Environment: MONARCH_TEST_POSTGRES names a PostgreSQL server on which
// databases may be created; MONARCH_CLUSTER_SEED repeats the random choices of
// a run that failed, MONARCH_CLUSTER_ROUNDS makes the kill test longer.
package cluster

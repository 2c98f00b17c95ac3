package front

import (
	"context"
	"log/slog"
	"net"
)

// Every connection is an open file, and a process may have only so many. Some
// have to be left for Redis, the directory, the log and whoever asks for
// metrics: without those the clients inside lose their service, while one more
// client gains nothing. So a connection is refused when the number of its
// descriptor shows that only the reserve is left. The system gives out the
// lowest number that is free, so this counts everything in the process, other
// servers included.

// reservedFiles is how many files are kept for everything but clients, or a
// quarter of all where there are few. Those being refused take some of them.
const reservedFiles = 512

// reserve returns how many of so many files are kept.
func reserve(files uint64) uint64 { return min(reservedFiles, files/4) }

// bound compares the limits of the configuration with the files that the
// process may open. It returns the first number of a descriptor that is of the
// reserve, and how many refused connections may be open at a time; what does
// not fit it tells the log, once, in a sentence that says what to do.
func bound(cfg Config, files uint64, log *slog.Logger) (firstReserved uint64, excusing int) {
	kept := reserve(files)
	firstReserved = files - kept
	if uint64(cfg.MaxConnections) > firstReserved {
		// Nobody has asked for as many as the default allows.
		level := slog.LevelWarn
		if cfg.MaxConnections == DefaultMaxConnections {
			level = slog.LevelInfo
		}
		log.Log(context.Background(), level, "the limit on open files allows fewer clients than max-connections does: raise it (ulimit -n, LimitNOFILE) to serve more",
			"max_connections", cfg.MaxConnections, "open_files", files, "clients", firstReserved)
	}
	return firstReserved, int(min(uint64(cfg.Refusals), kept/2))
}

// descriptor returns the number of nc, or -1 where it has none.
func descriptor(nc net.Conn) int {
	number := -1
	if raw := rawConn(nc); raw != nil {
		raw.Control(func(fd uintptr) { number = int(fd) }) // fails only where it is closed
	}
	return number
}

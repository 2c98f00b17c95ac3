package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm waits for moments. The runtime's own timers are late by up to a
// millisecond where nothing else goes on in a process, which would be counted as
// latency of the server.
type alarm struct{ file *os.File }

func newAlarm() alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return alarm{} // There are no more files: the runtime's timers have to do.
	}
	return alarm{os.NewFile(uintptr(fd), "alarm")}
}

// sleep returns d later, exactly if it can.
func (a alarm) sleep(d time.Duration) {
	if a.file != nil && a.set(d) == nil {
		var expired [8]byte
		if _, err := a.file.Read(expired[:]); err == nil {
			return
		}
	}
	time.Sleep(d)
}

func (a alarm) set(d time.Duration) error {
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(d), 1))} // 0 would unset it
	var fault error
	if err := raw.Control(func(fd uintptr) { fault = unix.TimerfdSettime(int(fd), 0, &at, nil) }); err != nil {
		return err
	}
	return fault
}

func (a alarm) close() {
	if a.file != nil {
		a.file.Close()
	}
}

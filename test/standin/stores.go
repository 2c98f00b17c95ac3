package standin

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// user is who the stores run as, by the number that their own images have.
const user = 999

// Redis stands for redis:7.
func Redis() (Image, error) {
	var paths []string
	for _, name := range []string{"redis-server", "redis-cli"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return Image{}, fmt.Errorf("make an image of Debian's Redis: %w", err)
		}
		paths = append(paths, path)
	}
	return Image{
		Tag:      "monarch-test-redis:debian",
		Paths:    paths,
		Dirs:     []string{"data/"},
		User:     user,
		Settings: Settings{Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, WorkingDir: "/data"},
	}, nil
}

// postgresScript does what the entry point of the image of PostgreSQL does on a
// volume that is empty.
const postgresScript = `#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb --no-sync -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \
		--encoding=UTF8 --locale=C --auth-local=trust --auth-host=scram-sha-256
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=
`

// Postgres stands for postgres:15, with the newest version that is installed.
func Postgres() (Image, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err == nil && len(found) == 0 {
		err = errors.New("it is not installed")
	}
	if err != nil {
		return Image{}, fmt.Errorf("make an image of Debian's PostgreSQL: %w", err)
	}
	bin := filepath.Dir(found[len(found)-1])
	version := filepath.Base(filepath.Dir(bin))
	lib := filepath.Join(filepath.Dir(bin), "lib")
	return Image{
		Tag: "monarch-test-postgres:debian",
		Paths: []string{
			filepath.Join(bin, "postgres"), filepath.Join(bin, "initdb"), filepath.Join(bin, "pg_isready"), "/bin/sh",
			filepath.Join(lib, "plpgsql.so"), filepath.Join(lib, "dict_snowball.so"),
			"/usr/share/postgresql/" + version, "/usr/share/zoneinfo",
		},
		Dirs:  []string{"var/lib/postgresql/data/", "tmp/"},
		Files: map[string]string{"entrypoint": postgresScript},
		User:  user,
		Settings: Settings{
			User:       fmt.Sprintf("%d:%d", user, user),
			Env:        []string{"PATH=" + bin + ":/usr/bin:/bin", "PGDATA=/var/lib/postgresql/data/pgdata"},
			Entrypoint: []string{"/entrypoint"},
			// At SIGTERM it would wait for everybody to leave.
			StopSignal: "SIGINT",
		},
	}, nil
}

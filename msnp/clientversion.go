package msnp

// AppendClientVersion answers CVR or CVQ: the client's own version is the
// recommended and the least one, so that no client offers or demands an
// upgrade. download and info are where one could be had; neither may be empty.
// A client that does not name its version is told 1.0.0000, as the service of
// the time answered those it did not know (MSNPiki).
//
//	C: CVR TrID locale ostype osver arch library version [codebase [handle]]
//	S: CVR TrID recommended recommended least download info
func AppendClientVersion(l *Line, c *Command, download, info string) {
	version := []byte("1.0.0000")
	if len(c.Args) > clientVersion {
		version = c.Args[clientVersion]
	}
	l.Verb(c.Verb).TrID(c.TrID).Echo(version).Echo(version).Echo(version).Word(download).Word(info)
}

// clientVersion is the position of the version among the arguments of CVR.
const clientVersion = 5

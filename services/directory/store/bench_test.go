package store

import (
	"fmt"
	"testing"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

func benchEachEngine(b *testing.B, bench func(b *testing.B, s *Store)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, ready(b, sqliteURL(b))) })
	b.Run("postgres", func(b *testing.B) { bench(b, ready(b, postgresURL(b))) })
}

// crowd creates n accounts, of whom the first has all others on FL, AL and RL.
func crowd(b *testing.B, s *Store, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user%d", i)
	}
	signUp(b, s, names...)
	wide := Limits{Forward: n, Allow: n, Block: n, Reverse: n, Groups: 30}
	var rows []*directoryv1.NewContact
	for _, name := range names[1:] {
		rows = append(rows,
			&directoryv1.NewContact{Owner: address(names[0]), Contact: address(name)},
			&directoryv1.NewContact{Owner: address(name), Contact: address(names[0])})
	}
	if answer, err := s.ImportContacts(b.Context(), wide, rows); err != nil || len(answer.GetErrors()) > 0 {
		b.Fatalf("import: %v, %v", answer.GetErrors(), err)
	}
	return names
}

func BenchmarkLogin(b *testing.B) {
	benchEachEngine(b, func(b *testing.B, s *Store) {
		signUp(b, s, "alice")
		response := answerTo("1.2", "alice")
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Login(b.Context(), address("alice"), "1.2", response); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkSnapshot(b *testing.B) {
	for _, members := range []int{1, 20, 150} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			benchEachEngine(b, func(b *testing.B, s *Store) {
				names := crowd(b, s, members+1)
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := s.Snapshot(b.Context(), address(names[0])); err != nil {
							b.Error(err)
						}
					}
				})
			})
		})
	}
}

// BenchmarkAddMember adds and removes, one after the other.
func BenchmarkAddMember(b *testing.B) {
	benchEachEngine(b, func(b *testing.B, s *Store) {
		names := crowd(b, s, 20)
		signUp(b, s, "new")
		e := &directoryv1.Edit{Email: address(names[0]), Version: version(b, s, names[0])}
		wide := Limits{Forward: 100, Allow: 100, Block: 100, Reverse: 100, Groups: 30}
		b.ResetTimer()
		for n := range b.N {
			var answer *directoryv1.EditResponse
			var err error
			if n%2 == 0 {
				answer, err = s.AddMember(b.Context(), wide, &directoryv1.AddMemberRequest{Edit: e, List: fl, Member: address("new")})
			} else {
				answer, err = s.RemoveMember(b.Context(), &directoryv1.RemoveMemberRequest{Edit: e, List: fl, Member: address("new")})
			}
			if err != nil {
				b.Fatal(err)
			}
			e.Version = answer.GetVersion()
		}
	})
}

// BenchmarkCreateAccounts creates accounts by the thousand; the time is that of
// a thousand.
func BenchmarkCreateAccounts(b *testing.B) {
	benchEachEngine(b, func(b *testing.B, s *Store) {
		for n := range b.N {
			accounts := make([]NewAccount, 1000)
			for i := range accounts {
				name := fmt.Sprintf("user%d-%d", n, i)
				accounts[i] = NewAccount{Email: address(name), Password: name, Name: name, Verified: true}
			}
			if _, err := s.CreateAccounts(b.Context(), accounts); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkImportContacts imports a thousand contacts of fifty owners.
func BenchmarkImportContacts(b *testing.B) {
	benchEachEngine(b, func(b *testing.B, s *Store) {
		var names []string
		for i := range 1000 {
			names = append(names, fmt.Sprintf("user%d", i))
		}
		signUp(b, s, names...)
		wide := Limits{Forward: 1000, Allow: 1000, Block: 100, Reverse: 1000, Groups: 30}
		b.ResetTimer()
		for n := range b.N {
			var rows []*directoryv1.NewContact
			for i := range 1000 {
				owner, contact := n*50+i%50, n*50+i%50+1+i/50
				rows = append(rows, &directoryv1.NewContact{Owner: address(names[owner%1000]), Contact: address(names[contact%1000])})
			}
			if _, err := s.ImportContacts(b.Context(), wide, rows); err != nil {
				b.Fatal(err)
			}
		}
	})
}

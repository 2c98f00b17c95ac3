package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/monarch-msn/monarch/msnp/client"
)

// Ann logs in through a dispatch server, comes online, and hears of Bob.
func ExampleLogin() {
	network := exampleNetwork()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Login(ctx, client.Options{
		Dispatch: network,
		Email:    "ann@example.com",
		Password: "swordfish",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Email, c.Name.Decode(), c.Dialect)

	// The reply to a command.
	reply, err := c.Do(ctx, "CHG", "NLN")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply)

	// What comes by itself.
	for range 2 {
		m, err := c.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m)
	}

	// A refusal is an error, and the session goes on.
	_, err = c.Do(ctx, "ADD", "FL", "nobody@example.com", "Nobody")
	fmt.Println(err)

	if err := c.Logout(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ann@example.com Ann Lee MSNP7
	// CHG 8 NLN
	// ILN 8 BSY bob@example.com Bob
	// NLN NLN bob@example.com Bob
	// 205 no such user
}

// exampleNetwork stands for a network of servers and returns the address of
// its dispatch server.
func exampleNetwork() string {
	notification := listen(`
		C: VER 4 MSNP7 MSNP6 MSNP5 MSNP4 CVR0
		S: VER 4 MSNP7
		C: INF 5
		S: INF 5 MD5
		C: USR 6 MD5 I ann@example.com
		S: USR 6 MD5 S 1726321960.482915073
		C: USR 7 MD5 S bec0ba62b515cf44b19b7acfb9e82524
		S: USR 7 OK ann@example.com Ann%20Lee 1
		S: MSG Hotmail Hotmail 2
		s: \r\n
		C: CHG 8 NLN
		S: CHG 8 NLN
		S: ILN 8 BSY bob@example.com Bob
		S: NLN NLN bob@example.com Bob
		C: ADD 9 FL nobody@example.com Nobody
		S: 205 9
		C: OUT
		S: OUT`)
	dispatch := listen(`
		C: VER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0
		S: VER 1 MSNP7
		C: INF 2
		S: INF 2 MD5
		C: USR 3 MD5 I ann@example.com
		S: XFR 3 NS ` + notification.addr() + ` 0 192.0.2.1:1863`)
	return dispatch.addr()
}

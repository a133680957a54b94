// The Go side of the proofs on Redis: the real scs on its own stores, or on the guarded one.
//
// Reads one request a line from standard input and answers each with one line, both JSON. A session
// that was loaded stays loaded under its number, as in a request that takes long.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"
	goredis "github.com/redis/go-redis/v9"

	"example.com/gostore/guarded"
)

type request struct {
	Op     string `json:"op"`
	Number int    `json:"number"`
	Token  string `json:"token"`
	Key    string `json:"key"`
	Value  string `json:"value"`
}

type answer struct {
	Token  string         `json:"token"`
	Values map[string]any `json:"values,omitempty"`
	Error  string         `json:"error,omitempty"`
}

func open(kind, address, password, prefix string) scs.Store {
	switch kind {
	case "redigo":
		pool := &redis.Pool{Dial: func() (redis.Conn, error) {
			return redis.Dial("tcp", address, redis.DialPassword(password))
		}}
		return redisstore.NewWithPrefix(pool, prefix)
	case "goredis":
		return goredisstore.NewWithPrefix(goredis.NewClient(&goredis.Options{Addr: address, Password: password}), prefix)
	case "guarded":
		return guarded.New(goredis.NewClient(&goredis.Options{Addr: address, Password: password}), prefix)
	}
	options := &goredis.ClusterOptions{Addrs: []string{address}, Password: password}
	return guarded.New(goredis.NewClusterClient(options), prefix)
}

func main() {
	kind := flag.String("store", "goredis", "redigo, goredis, guarded or guarded-cluster")
	address := flag.String("address", "", "host:port")
	prefix := flag.String("prefix", "scs:session:", "prefix of the keys")
	hash := flag.Bool("hash", false, "HashTokenInStore")
	lifetime := flag.Duration("lifetime", time.Hour, "Lifetime")
	idle := flag.Duration("idle", 0, "IdleTimeout")
	flag.Parse()

	manager := scs.New()
	manager.Store = open(*kind, *address, os.Getenv("REDIS_PASSWORD"), *prefix)
	manager.HashTokenInStore = *hash
	manager.Lifetime = *lifetime
	manager.IdleTimeout = *idle

	loaded := map[int]context.Context{}
	answers := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		given, err := act(manager, loaded, asked)
		if err != nil {
			given.Error = err.Error()
		}
		if err := answers.Encode(given); err != nil {
			log.Fatal(err)
		}
	}
}

func act(manager *scs.SessionManager, loaded map[int]context.Context, asked request) (given answer, err error) {
	ctx := loaded[asked.Number]
	switch asked.Op {
	case "load":
		if ctx, err = manager.Load(context.Background(), asked.Token); err != nil {
			return given, err
		}
		loaded[asked.Number] = ctx
	case "put":
		manager.Put(ctx, asked.Key, asked.Value)
	case "renew":
		err = manager.RenewToken(ctx)
	case "destroy":
		err = manager.Destroy(ctx)
	case "commit":
		given.Token, _, err = manager.Commit(ctx)
		return given, err
	}
	given.Token = manager.Token(ctx)
	given.Values = map[string]any{}
	for _, key := range manager.Keys(ctx) {
		given.Values[key] = manager.Get(ctx, key)
	}
	return given, err
}

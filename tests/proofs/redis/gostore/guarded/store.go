// Package guarded is an scs.Store in Redis that does not bring back what was destroyed.
//
// It keeps sessions as scs's goredisstore does, also on a Cluster, and shares its tombstones with
// django_scs: a destroyed session leaves one, and a commit that comes later changes nothing.
package guarded

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Store is an scs.Store and an scs.CtxStore.
type Store struct {
	client redis.UniversalClient
	prefix string
}

// New returns a store on a client of one server, of Sentinel or of a Cluster (Redis 7 or newer). The
// prefix is Django's SCS_REDIS_PREFIX, "scs:session:" if that is not set.
func New(client redis.UniversalClient, prefix string) *Store {
	return &Store{client: client, prefix: prefix}
}

var (
	find = redis.NewScript(`#!lua flags=allow-oom
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('DEL', KEYS[1]) return false end
if redis.call('PTTL', KEYS[1]) < 0 then return false end
return redis.call('GET', KEYS[1])`)

	commit = redis.NewScript(`#!lua
if redis.call('EXISTS', KEYS[2]) == 1 or tonumber(ARGV[2]) <= 0 then return redis.call('DEL', KEYS[1]) end
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`)

	destroy = redis.NewScript(`#!lua flags=allow-oom
local left = redis.call('PTTL', KEYS[1])
if redis.call('DEL', KEYS[1]) == 0 or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('SET', KEYS[2], 'go', 'PX', string.format('%.0f', math.max(left, 86400000)))`)
)

// names returns the key of a session and that of its tombstone, which lie in one slot of a Cluster.
func (s *Store) names(token string) []string {
	name := s.prefix + token
	if strings.Contains(s.prefix, "{") {
		return []string{name, "dead:" + name}
	}
	return []string{name, "dead:{" + name + "}"}
}

func (s *Store) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	data, err := find.Run(ctx, s.client, s.names(token)).Text()
	if err == redis.Nil {
		return nil, false, nil
	}
	return []byte(data), err == nil, err
}

func (s *Store) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	return commit.Run(ctx, s.client, s.names(token), b, time.Until(expiry).Milliseconds()).Err()
}

func (s *Store) DeleteCtx(ctx context.Context, token string) error {
	return destroy.Run(ctx, s.client, s.names(token)).Err()
}

func (s *Store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

func (s *Store) Commit(token string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, b, expiry)
}

func (s *Store) Delete(token string) error {
	return s.DeleteCtx(context.Background(), token)
}

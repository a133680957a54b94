package main

import (
	"encoding/gob"
	"math"
	"time"

	"github.com/alexedwards/scs/v2"
)

// Types of the application's own, as a Go team would keep them in its sessions.
type (
	userID int64
	role   string
	cart   struct {
		Lines   []cartLine
		Coupons map[string]int
		Changed time.Time
		Owner   *userID
	}
	cartLine struct {
		SKU   string
		Price float32
	}
	preferences struct{ Theme string }
)

func init() {
	gob.Register(userID(0))
	gob.Register(role(""))
	gob.Register(cart{})
	gob.Register(cartLine{})
	gob.Register(&preferences{})
	gob.Register([]time.Time{})
	gob.Register(map[string]string{})
	gob.Register(map[string][]int{})
	gob.Register([3]int{})
}

// everything returns a value of each type that the codec can keep, by a key that names it.
func everything(codec scs.Codec) map[string]any {
	berlin := time.FixedZone("", 2*60*60)
	moment := time.Date(2026, 7, 8, 9, 10, 11, 123456000, berlin)
	values := map[string]any{
		"nil": nil, "bool": true, "false": false, "int": math.MinInt64, "zero": 0,
		"string": "Grüße, \x00 <b>&\U0001f642", "empty string": "",
		"float64": -1.5, "whole float64": 3.0, "large float64": 1e300, "minus zero": math.Copysign(0, -1),
		"infinity": math.Inf(-1), "bytes": []byte{0, 255, 10},
		"time.Time": moment, "time in UTC": moment.UTC(),
		"[]interface{}":          []any{1, "two", 3.0, nil, []byte("four"), []any{}, moment},
		"map[string]interface{}": map[string]any{"a": 1, "b": map[string]any{"$bytes": "no"}, "c": moment},
	}
	if _, isGob := codec.(scs.GobCodec); isGob {
		owner := userID(7)
		for key, value := range map[string]any{
			"int8": int8(-128), "int16": int16(-32768), "int32": int32(math.MinInt32), "int64": int64(math.MaxInt64),
			"uint": uint(math.MaxUint64), "uint8": uint8(255), "uint16": uint16(1), "uint32": uint32(math.MaxUint32),
			"uint64": uint64(math.MaxUint64), "uintptr": uintptr(9), "float32": float32(0.1),
			"complex64": complex64(1 - 2i), "complex128": 3 + 4i, "rune": 'ß', "string of bytes": "\xff\xfe",
			"[]bool": []bool{true, false}, "[]int": []int{1, -1}, "[]int64": []int64{math.MinInt64}, "[]uint16": []uint16{7},
			"[]string": []string{"a", ""}, "[]float64": []float64{0.5}, "[]float32": []float32{0.1}, "[]complex128": []complex128{1i},
			"nanoseconds": moment.Add(789), "old zone": time.Date(1890, 1, 1, 0, 0, 0, 0, time.FixedZone("", 53*60+28)),
			"zero time": time.Time{}, "far time": time.Unix(1<<40, 0).UTC(), "[]time.Time": []time.Time{moment.Add(1)},
			"map[string]string": map[string]string{"k": "v"}, "map[string][]int": map[string][]int{"k": {1, 2}}, "[3]int": [3]int{1, 0, 3},
			"userID": owner, "role": role("editor"), "*preferences": &preferences{"dark"},
			"cart": cart{
				Lines: []cartLine{{"tea", 2.5}, {}}, Coupons: map[string]int{"ten": 10},
				Changed: moment.Add(1), Owner: &owner,
			},
			"nested": map[string]any{"list": []any{cartLine{"x", 1}, int64(5), map[string]any{"deep": moment.Add(1)}}},
		} {
			values[key] = value
		}
	}
	return values
}

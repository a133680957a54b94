// Package models holds the types that a Go application might keep in its sessions.
package models

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"time"
)

type User struct {
	ID       int
	Name     string
	Admin    bool
	Score    float64
	hash     []byte
	attempts int
}

type Item struct {
	SKU   string
	Qty   int
	Price float32
}

type Prefs struct {
	Theme    string
	PageSize uint16
	Tags     []string
	Raw      []byte
	Parent   *Prefs
}

type Cart struct {
	Items   []Item
	Coupons map[string]int
	Created time.Time
	Updated *time.Time
	note    string
}

type MainCart struct {
	Lines []Item
	Total int64
}

type MainSession struct {
	UserID int
	Roles  []string
	Flash  map[string]string
}

type Shape interface{ Area() float64 }

type Square struct{ Side float64 }

func (s Square) Area() float64 { return s.Side * s.Side }

type Circle struct{ R float64 }

func (c *Circle) Area() float64 { return 3 * c.R * c.R }

type Holder struct {
	Title string
	Any   interface{}
	Shape Shape
	List  []interface{}
	Map   map[string]interface{}
}

type Token struct{ A, B uint32 }

func (t Token) GobEncode() ([]byte, error) {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, t.A), t.B), nil
}

func (t *Token) GobDecode(b []byte) error {
	if len(b) != 8 {
		return errors.New("Token: wrong length")
	}
	t.A, t.B = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	return nil
}

type UUID [16]byte

func (u UUID) MarshalBinary() ([]byte, error) { return u[:], nil }

func (u *UUID) UnmarshalBinary(b []byte) error {
	if copy(u[:], b) != 16 || len(b) != 16 {
		return errors.New("UUID: wrong length")
	}
	return nil
}

type PtrEnc struct{ s string }

func (p *PtrEnc) GobEncode() ([]byte, error) { return []byte("<" + p.s + ">"), nil }

func (p *PtrEnc) GobDecode(b []byte) error {
	if len(b) < 2 {
		return errors.New("PtrEnc: too short")
	}
	p.s = string(bytes.Trim(b, "<>"))
	return nil
}

type Text struct{ S string }

func (t Text) MarshalText() ([]byte, error) { return []byte(t.S), nil }

func (t *Text) UnmarshalText(b []byte) error {
	t.S = string(b)
	return nil
}

type (
	UserID int
	Roles  []string
	Point  [2]float64
	Flags  map[string]bool
)

type Node struct {
	Value interface{}
	Next  *Node
}

type Tree map[string]Tree

type Base struct{ Created time.Time }

type Derived struct {
	Base
	*Item
	Grid   [2][3]int8
	ByID   map[UserID]*Item
	Points map[Point]string
	Any    map[interface{}]interface{}
	Empty  struct{ X int }
	C      complex64
	Token  Token
	Tokens []*Token
}

func init() {
	for _, value := range []interface{}{
		User{}, Item{}, &Prefs{}, []Item{}, Cart{}, Square{}, &Circle{}, Holder{}, Token{}, UUID{},
		&PtrEnc{}, Text{}, time.Time{}, UserID(0), Roles{}, Point{}, Flags{}, Node{}, Tree{}, Derived{},
		map[string]interface{}{}, []interface{}{}, map[string]string{}, map[string]int{},
		map[string]map[string]int{}, map[string]map[string]interface{}{}, map[int]string{},
		map[string][]string{}, map[string]time.Time{}, map[interface{}]interface{}{}, map[float64]bool{},
		map[[2]int]string{}, [][]string{}, [][]byte{}, []time.Time{}, []map[string]interface{}{},
		[3]int{}, [2]string{}, []*Item{}, map[string]*Item{}, []Shape{}, []error{},
	} {
		gob.Register(value)
	}
	gob.RegisterName("cart", MainCart{})
	gob.RegisterName("main.Session", MainSession{})
}

// Samples returns values of many types, to be put into sessions.
func Samples() []interface{} {
	when := time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.UTC)
	sub := time.FixedZone("", 19*60+32)
	item := &Item{SKU: "A", Qty: -1, Price: 0.1}
	nested := map[string]interface{}{
		"when": when, "n": int64(1) << 60, "small": uint8(7), "nil": nil, "list": []interface{}{
			int8(-1), "x", []string{"a"}, map[string]interface{}{"deep": []int16{1, -2}, "user": User{ID: 1}},
		},
	}
	return []interface{}{
		nil, true, 0, -1, 1 << 62, int8(-5), int16(300), int32(-70000), int64(5), uint(5), uint8(255),
		uint16(65535), uint32(1 << 31), uint64(1) << 63, uintptr(9), float32(0.1), 0.1, 0.0, complex64(1 + 2i),
		complex(0.1, -0.2), "", "text", "\xff\xfe", string(make([]byte, 300)), []byte{}, []byte{0, 255},
		[]bool{true}, []int{1, 1 << 40}, []int8{-1}, []int16{-300}, []int32{1 << 30}, []int64{-1 << 63},
		[]uint{1}, []uint16{65535}, []uint32{1 << 31}, []uint64{1 << 63}, []uintptr{9}, []float32{0.1},
		[]float64{0.1}, []complex64{1i}, []complex128{1i}, []string{"a", ""}, []string{}, []int(nil),
		when, when.In(time.FixedZone("", -8*3600)), when.In(sub), time.Time{}, time.Unix(0, 1),
		time.Unix(-1<<40, 0).UTC(), time.Unix(1<<40, 0).UTC(), when.In(time.FixedZone("", 40*3600)),
		User{ID: 5, Name: "eve", hash: []byte("x"), attempts: 3}, User{}, *item, []Item{*item, {}},
		&Prefs{Theme: "dark", Tags: []string{"t"}, Raw: []byte{1}, Parent: &Prefs{Parent: &Prefs{}}},
		Cart{Items: []Item{*item}, Coupons: map[string]int{"a": 0, "b": 2}, Created: when, Updated: &when},
		MainCart{Lines: []Item{*item}, Total: 1 << 40}, MainSession{Roles: []string{"r"}, Flash: map[string]string{"k": "v"}},
		Square{2}, &Circle{1}, []Shape{Square{1}, &Circle{2}, nil}, Token{1, 2}, UUID{1, 15: 255}, &PtrEnc{"hello"}, Text{"t"},
		Holder{Any: nested, Shape: &Circle{1}, List: []interface{}{1, Square{3}}, Map: nested}, Holder{},
		UserID(7), UserID(0), Roles{"a"}, Point{1, 2}, Flags{"x": true, "y": false},
		Node{Value: Node{Value: 1}, Next: &Node{Value: []string{"x"}, Next: &Node{}}},
		Tree{"a": {"b": {}, "c": nil}}, Derived{}, Derived{
			Base: Base{when}, Item: item, Grid: [2][3]int8{{1, 0, -1}, {}}, ByID: map[UserID]*Item{1: item},
			Points: map[Point]string{{1, 2}: "p", {}: ""}, C: 1i, Token: Token{3, 4}, Tokens: []*Token{{5, 6}},
			Any: map[interface{}]interface{}{"k": 1, 1: "k", 2.5: Square{1}, Point{1, 1}: nil},
		},
		nested, map[string]interface{}{}, []interface{}{}, []interface{}{nil, nil}, []interface{}{nested, nested},
		map[string]string{"k": "v"}, map[string]int{"a": 0}, map[string]map[string]int{"x": {"a": 1}, "y": {}},
		map[string]map[string]interface{}{"q": nested}, map[int]string{-1: "a", 0: "b"}, map[string][]string{"a": {"b"}, "c": {}},
		map[string]time.Time{"t": when}, map[interface{}]interface{}{"a": 1, 2: "b", true: nil, Square{1}: 1},
		map[interface{}]interface{}{1: "int", 1.0: "float", true: "bool", int64(1): "int64"},
		map[float64]bool{0.5: true}, map[[2]int]string{{1, 2}: "x"}, [][]string{{"a"}, {}, {"b", "c"}},
		[][]byte{{1}, {}}, []time.Time{when, {}, time.Unix(-1<<40, 0)}, []map[string]interface{}{nested, {}},
		[3]int{1, 0, 3}, [2]string{"a", ""}, []*Item{item, {}}, map[string]*Item{"i": item},
	}
}

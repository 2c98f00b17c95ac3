package msnp

import (
	"iter"
	"math/bits"
)

// MaxGroups is how many groups a user may have; their ids are below it. Group
// 0 always exists ("yellows' MSNP wiki").
const MaxGroups = 30

// A Group is a named shelf of the forward list.
type Group struct {
	ID   uint32
	Name Nick
}

// A GroupSet is a set of group ids below 32, a bit each.
type GroupSet uint32

// Has reports whether id is in g.
func (g GroupSet) Has(id uint32) bool { return id < 32 && g&(1<<id) != 0 }

// With returns g with id in it. An id that cannot exist changes nothing.
func (g GroupSet) With(id uint32) GroupSet {
	if id >= 32 {
		return g
	}
	return g | 1<<id
}

// Without returns g without id.
func (g GroupSet) Without(id uint32) GroupSet {
	if id >= 32 {
		return g
	}
	return g &^ (1 << id)
}

// Empty reports whether there is no id in g.
func (g GroupSet) Empty() bool { return g == 0 }

// All yields the ids in ascending order.
func (g GroupSet) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for rest := uint32(g); rest != 0; rest &= rest - 1 {
			if !yield(uint32(bits.TrailingZeros32(rest))) {
				return
			}
		}
	}
}

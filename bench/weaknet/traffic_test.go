package weaknet

import (
	"encoding/binary"
	"testing"
)

// packetOf is an IPv4 packet of TCP with size bytes of payload.
func packetOf(port uint16, seq uint32, size int, flags byte) []byte {
	const ip, tcp, options = 20, 20, 12
	p := make([]byte, ip+tcp+options+size)
	p[0], p[9] = 0x45, 6
	binary.BigEndian.PutUint16(p[ip:], port)
	binary.BigEndian.PutUint32(p[ip+4:], seq)
	p[ip+12], p[ip+13] = (tcp+options)/4<<4, flags
	return p
}

func TestTraffic(t *testing.T) {
	const ack, syn = 0x10, 0x12
	const wraps = 1<<32 - 100 // the numbers wrap after 100 bytes
	data := func(seq uint32, size int) []byte { return packetOf(80, seq, size, ack) }
	open := func(seq uint32) []byte { return packetOf(80, seq-1, 0, syn) }
	tests := []struct {
		name    string
		packets [][]byte
		want    Traffic
	}{
		{"nothing", nil, Traffic{}},
		{"in order", [][]byte{open(1), data(1, 100), data(101, 50)}, Traffic{Payload: 150}},
		{"no SYN was seen", [][]byte{data(7, 100), data(107, 50)}, Traffic{Payload: 150}},
		{"a lost packet comes late", [][]byte{open(1), data(101, 100), data(201, 100), data(1, 100)}, Traffic{Payload: 300}},
		{"sent again without need", [][]byte{open(1), data(1, 100), data(1, 100)}, Traffic{100, 100}},
		{"again, beyond a gap", [][]byte{open(1), data(101, 100), data(101, 100)}, Traffic{100, 100}},
		{"again, in part", [][]byte{open(1), data(1, 100), data(51, 100)}, Traffic{150, 50}},
		{"one packet over two and a gap", [][]byte{open(1), data(11, 10), data(31, 10), data(1, 50)}, Traffic{50, 20}},
		{"numbers wrap", [][]byte{open(wraps), data(wraps+50, 100), data(wraps, 50), data(wraps, 150)}, Traffic{150, 150}},
		{"another connection", [][]byte{open(1), data(1, 100), packetOf(81, 1, 100, ack)}, Traffic{Payload: 200}},
		{"the port is used again", [][]byte{open(1), data(1, 100), open(9), data(9, 100)}, Traffic{Payload: 200}},
		{"a late copy of the SYN", [][]byte{open(1), data(1, 100), open(1), data(1, 100)}, Traffic{100, 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var counter traffic
			for _, p := range tt.packets {
				counter.count(p)
			}
			if got := counter.read(); got != tt.want {
				t.Errorf("counted %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestTrafficOfOtherProtocols(t *testing.T) {
	udp := packetOf(53, 1, 100, 0)
	udp[9] = 17
	short := packetOf(80, 1, 0, 0)[:30]
	var counter traffic
	counter.count(udp)
	counter.count(short)
	if got := counter.read(); got != (Traffic{}) {
		t.Errorf("counted %+v of what is not TCP", got)
	}
}

package lab

import "github.com/segpull/segpull/bench/weaknet"

// networks are those that users are on: a user's own link, and three mirrors of
// different rates and distances. The slower the network, the smaller the image,
// since tools that use one mirror take minutes there.
var networks = []Case{
	network("home", "50 Mbit/s, mirrors at 40 to 70 ms", medium,
		weaknet.Link{Down: 50 * mbit, Up: 10 * mbit, Delay: ms(5)},
		Mirror{Rate: 40 * mbit, RTT: ms(30)}, Mirror{Rate: 20 * mbit, RTT: ms(40)}, Mirror{Rate: 8 * mbit, RTT: ms(60)}),
	network("4g", "20 Mbit/s, 60 to 120 ms with jitter, 0.2 % loss", medium,
		weaknet.Link{Down: 20 * mbit, Up: 8 * mbit, Delay: ms(20), Jitter: ms(20), Loss: 0.002, Queue: ms(400)},
		Mirror{Rate: 20 * mbit, RTT: ms(20)}, Mirror{Rate: 10 * mbit, RTT: ms(40)}, Mirror{Rate: 4 * mbit, RTT: ms(80)}),
	network("hotel", "6 Mbit/s, 60 to 130 ms with jitter, 2 % loss, some packets overtake others", small,
		weaknet.Link{Down: 6 * mbit, Up: 1 * mbit, Delay: ms(15), Jitter: ms(40), Loss: 0.02, Reorder: 0.01, Queue: ms(500)},
		Mirror{Rate: 20 * mbit, RTT: ms(30)}, Mirror{Rate: 10 * mbit, RTT: ms(60)}, Mirror{Rate: 4 * mbit, RTT: ms(100)}),
	network("satellite", "20 Mbit/s, 600 ms, 0.5 % loss", small,
		weaknet.Link{Down: 20 * mbit, Up: 3 * mbit, Delay: ms(280), Jitter: ms(20), Loss: 0.005, Queue: ms(300)},
		Mirror{Rate: 50 * mbit, RTT: ms(20)}, Mirror{Rate: 20 * mbit, RTT: ms(40)}, Mirror{Rate: 10 * mbit, RTT: ms(60)}),
	network("cross-border", "200 ms, 1 to 3 % loss", small,
		weaknet.Link{Down: 50 * mbit, Up: 20 * mbit, Delay: ms(5)},
		Mirror{Rate: 20 * mbit, RTT: ms(190), Loss: 0.01}, Mirror{Rate: 10 * mbit, RTT: ms(190), Loss: 0.02}, Mirror{Rate: 4 * mbit, RTT: ms(190), Loss: 0.03}),
	network("lan", "200 Mbit/s, 1 ms", bulk,
		weaknet.Link{Down: 200 * mbit, Up: 200 * mbit},
		Mirror{Rate: 100 * mbit, RTT: ms(1)}, Mirror{Rate: 100 * mbit, RTT: ms(1)}, Mirror{Rate: 50 * mbit, RTT: ms(1)}),
}

var (
	medium = []int64{16 * mib, 6 * mib, 2 * mib}
	small  = []int64{8 * mib, 3 * mib, mib}
)

func network(name, about string, layers []int64, link weaknet.Link, first, second, third Mirror) Case {
	first.Name, second.Name, third.Name = "first", "second", "third"
	return Case{Name: name, About: about, TCP: true, Link: link, Layers: layers, Mirrors: []Mirror{first, second, third}}
}

// local is a pull that only the machine limits.
var local = Case{
	Name: "local", About: "1 GiB from one real registry, no throttling, with fsync", Server: dockerRegistry,
	Layers:  []int64{256 * mib, 256 * mib, 256 * mib, 256 * mib},
	Mirrors: []Mirror{{Name: "registry"}},
	Sync:    true,
	Goal:    Goal{Rivals: archivers, Share: 0.9},
}

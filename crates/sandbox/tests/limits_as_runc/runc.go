// What runc writes for `linux.resources`: the oracle of this test.
//
// One JSON object of resources comes on each line of stdin. For each, and for each kind of group, it is converted and set by runc's own libcontainer,
// with sockets in the place of a group's files, and what was written is printed in order, tab-separated and quoted as Go does:
//
//	KIND write FILE VALUE
//	KIND error TEXT
//	end
//
// Build: GO111MODULE=off GOPATH=/usr/share/gocode go build -o OUT runc.go (Debian's golang-github-opencontainers-runc-dev).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	_ "unsafe" // for go:linkname

	"github.com/opencontainers/runc/libcontainer/cgroups"
	"github.com/opencontainers/runc/libcontainer/cgroups/fs"
	"github.com/opencontainers/runc/libcontainer/cgroups/fs2"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
)

// How libcontainer opens a file that isn't below /sys/fs/cgroup: its own tests exchange this too.
//
//go:linkname openFallback github.com/opencontainers/runc/libcontainer/cgroups.openFallback
var openFallback func(path string, flags int, mode os.FileMode) (*os.File, error)

// A group that is not there: what its files say, and who is writing to one now.
type group struct {
	name    string
	dir     string
	files   map[string]string
	written string
	reader  int
}

// Files that libcontainer reads, as a new group has them. What isn't here doesn't exist.
var groups = []*group{
	{name: "v1", files: map[string]string{"memory.limit_in_bytes": "9223372036854771712", "memory.memsw.limit_in_bytes": "9223372036854771712"}},
	{name: "v2", files: map[string]string{"cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma"}},
	{name: "v2-bfq", files: map[string]string{"cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma", "io.bfq.weight": "default 100\n"}},
}

var open *group

func main() {
	logrus.SetOutput(io.Discard)
	cgroups.TestMode = true
	openFallback = func(path string, flags int, _ os.FileMode) (*os.File, error) {
		return open.open(filepath.Base(path), flags)
	}
	for _, group := range groups {
		must(group.make())
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		for _, group := range groups {
			resources, err := converted(lines.Bytes())
			must(err)
			open = group
			err = group.set(resources)
			group.report()
			if err != nil {
				fmt.Printf("%s\terror\t%q\n", group.name, err.Error())
			}
		}
		fmt.Println("end")
	}
	must(lines.Err())
	for _, group := range groups {
		must(os.RemoveAll(group.dir))
	}
}

func converted(line []byte) (*configs.Resources, error) {
	var resources specs.LinuxResources
	if err := json.Unmarshal(line, &resources); err != nil {
		return nil, err
	}
	spec := &specs.Spec{Linux: &specs.Linux{Resources: &resources}}
	group, err := specconv.CreateCgroupConfig(&specconv.CreateOpts{CgroupName: "oracle", Spec: spec}, nil)
	if err != nil {
		return nil, err
	}
	group.Resources.SkipDevices = true
	return group.Resources, nil
}

// The directory has the names, as libcontainer asks the file system which files there are.
func (g *group) make() (err error) {
	if g.dir, err = os.MkdirTemp("", "izba-runc-oracle-"); err != nil {
		return err
	}
	for name := range g.files {
		if err := os.WriteFile(filepath.Join(g.dir, name), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) set(resources *configs.Resources) error {
	config := &configs.Cgroup{Path: "/oracle", Resources: resources}
	var manager cgroups.Manager
	var err error
	if strings.HasPrefix(g.name, "v2") {
		manager, err = fs2.NewManager(config, g.dir)
	} else {
		manager, err = fs.NewManager(config, g.everywhere())
	}
	if err != nil {
		return err
	}
	return manager.Set(resources)
}

func (g *group) everywhere() map[string]string {
	paths := map[string]string{}
	for _, controller := range strings.Fields("cpuset devices memory cpu cpuacct pids blkio hugetlb net_cls net_prio perf_event freezer rdma name=systemd") {
		paths[controller] = g.dir
	}
	return paths
}

// A file to write is one end of a socket that keeps one write from the next. What is read of it comes from the other end first.
func (g *group) open(name string, flags int) (*os.File, error) {
	g.report()
	content, exists := g.files[name]
	writes := flags&(os.O_WRONLY|os.O_RDWR) != 0
	reads := flags&os.O_WRONLY == 0
	if reads && !exists {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
	}
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	near, far := os.NewFile(uintptr(ends[0]), name), ends[1]
	if reads {
		if _, err := syscall.Write(far, []byte(content)); err != nil {
			return nil, err
		}
	}
	if !writes {
		return near, syscall.Close(far)
	}
	g.written, g.reader = name, far
	return near, nil
}

// Prints what has been written to the file that was opened last. cpu.shares says what it was told: runc compares.
func (g *group) report() {
	if g.reader == 0 {
		return
	}
	value := make([]byte, 1<<16)
	for {
		n, _, err := syscall.Recvfrom(g.reader, value, syscall.MSG_DONTWAIT)
		if n <= 0 || err != nil {
			break
		}
		text := strings.TrimSuffix(string(value[:n]), "\n")
		fmt.Printf("%s\twrite\t%s\t%q\n", g.name, g.written, text)
		if g.written == "cpu.shares" {
			g.files[g.written] = text
		}
	}
	must(syscall.Close(g.reader))
	g.reader = 0
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

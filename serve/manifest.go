package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
)

const (
	// patience is how long a client waits for the sources: containerd gives a registry 30
	// s, and has others to ask.
	patience = 9 * time.Second
	// stalePatience is how long it waits where the cache has an earlier answer.
	stalePatience = 4500 * time.Millisecond
	// askFor is how long the sources are asked, whoever waits: the next client has the
	// answer.
	askFor = 30 * time.Second
	// silentFor is how long stale answers are given at once after nobody has answered.
	silentFor = 10 * time.Second
	// unavailableFor is how long no manifest is served that names a blob which no source
	// had.
	unavailableFor = time.Minute
)

// errSilent is the error of sources that do not answer in time.
var errSilent = errors.New("no source has answered in time")

// origin is where an answer came from.
type origin string

const (
	found  origin = "hit"    // it was in the cache
	missed origin = "miss"   // sources were asked
	shared origin = "shared" // another client had begun the download
	stale  origin = "stale"  // no source answered, so it may be an earlier image
)

// serveManifest answers a request for a manifest.
func (h *Handler) serveManifest(w *response, r *http.Request, ref image.Reference) origin {
	ctx, from := r.Context(), found
	if ref.Digest == "" {
		d, o, err := h.resolveTag(ctx, ref)
		if err != nil {
			h.refuse(w, ref, err)
			return missed
		}
		ref.Digest, from = d, o
	}
	d, body, o, err := h.manifest(ctx, ref)
	if err == nil {
		err = h.available(d.Digest, from)
	}
	if err != nil {
		h.refuse(w, ref, err)
		return missed
	}
	if from == found {
		from = o
	}
	if from == stale {
		w.Header().Set("Warning", `110 - "Response is Stale"`)
	}
	w.Header().Set("Content-Type", d.MediaType)
	w.Header().Set("Docker-Content-Digest", d.Digest.String())
	w.Header().Set("Etag", strconv.Quote(d.Digest.String()))
	w.Header().Set("Content-Length", strconv.FormatInt(d.Size, 10))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
	return from
}

func (h *Handler) refuse(w *response, ref image.Reference, err error) {
	h.opts.Log.Warn("cannot serve the image", "image", ref.String(), "error", err)
	failUpstream(w, codeManifestUnknown, err)
}

// resolveTag returns the digest of a tag: that of the cache for a while, else that of the
// sources, else that of the cache.
func (h *Handler) resolveTag(ctx context.Context, ref image.Reference) (digest.Digest, origin, error) {
	known, err := h.opts.Cache.Name(ref)
	lacks, broken := h.opts.Cache.Lacks(known.Digest)
	have, complete := err == nil && broken == nil, len(lacks) == 0
	age := time.Since(known.Checked)
	switch {
	case have && (h.opts.Offline || 0 <= age && age < h.opts.TagTTL):
		return known.Digest, found, nil
	case h.opts.Offline:
		return "", missed, errOffline
	case have && complete && h.isSilent(ref.Registry):
		return known.Digest, stale, nil
	}
	wait := patience
	if have {
		wait = stalePatience
	}
	waiting, cancel := context.WithTimeoutCause(ctx, wait, errSilent)
	defer cancel()
	d, err := h.once(waiting, ref.String(), func(ctx context.Context) (digest.Digest, error) {
		return h.ask(ctx, ref, known, have)
	})
	switch {
	case err == nil:
		return d, missed, nil
	case !have || final(err) || gone(ctx):
		return "", missed, err
	}
	h.setSilent(ref.Registry)
	h.opts.Log.Warn("no source answers, so the last known image is served", "image", ref.String(), "digest", known.Digest, "checked", known.Checked, "error", err)
	return known.Digest, stale, nil
}

// once calls ask for a key unless a call is running, and waits for its result until ctx
// ends. The call goes on: the next client has its result.
func (h *Handler) once(ctx context.Context, key string, ask func(context.Context) (digest.Digest, error)) (digest.Digest, error) {
	via := viaOf(ctx)
	result := h.resolving.DoChan(key+" "+via, func() (any, error) {
		if !h.begin() {
			return digest.Digest(""), errClosed
		}
		defer h.running.Done()
		ctx, cancel := context.WithTimeoutCause(h.withVia(h.lifetime, via), askFor, errSilent)
		defer cancel()
		return ask(ctx)
	})
	select {
	case r := <-result:
		d, _ := r.Val.(digest.Digest)
		return d, r.Err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// ask asks the sources for a tag, and puts the answer into the cache. If that has one,
// HEAD is enough where a source answers it, and with the same digest.
func (h *Handler) ask(ctx context.Context, ref image.Reference, known cache.Name, have bool) (digest.Digest, error) {
	began := time.Now()
	if have || h.opts.Bucket != nil {
		d, source, err := h.opts.Upstream.Claim(ctx, ref)
		if err == nil && (have && d == known.Digest || h.takeManifest(ctx, d)) {
			return d, h.setName(ctx, ref, d, source, began)
		}
	}
	for {
		mediaType, body, source, err := h.opts.Upstream.Manifest(ctx, ref)
		if err != nil {
			return "", err
		}
		d, err := h.keepManifest(ctx, mediaType, body)
		if err == nil {
			h.opts.Log.Info("resolved the image", "image", ref.String(), "digest", d.Digest, "source", source)
			return d.Digest, h.setName(ctx, ref, d.Digest, source, began)
		}
		if !h.opts.Upstream.Reject(ref, err) {
			return "", err
		}
	}
}

func (h *Handler) setName(ctx context.Context, ref image.Reference, d digest.Digest, source string, asked time.Time) error {
	h.clearSilent(ref.Registry)
	return h.opts.Cache.SetName(ctx, cache.Name{
		Registry: ref.Registry, Repository: ref.Repository, Tag: ref.Tag, Digest: d, Checked: asked, Source: source,
	})
}

// manifest returns a manifest by its digest.
func (h *Handler) manifest(ctx context.Context, ref image.Reference) (ocispec.Descriptor, []byte, origin, error) {
	d, body, err := h.opts.Cache.Manifest(ctx, ref.Digest)
	if err == nil {
		return d, body, found, nil
	}
	if h.opts.Offline {
		return d, nil, missed, errOffline
	}
	waiting, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	_, err = h.once(waiting, ref.Digest.String(), func(ctx context.Context) (digest.Digest, error) {
		if h.takeManifest(ctx, ref.Digest) {
			return ref.Digest, nil
		}
		mediaType, body, _, err := h.opts.Upstream.Manifest(ctx, ref)
		if err != nil {
			return "", err
		}
		d, err := h.keepManifest(ctx, mediaType, body)
		return d.Digest, err
	})
	if err != nil {
		return d, nil, missed, err
	}
	d, body, err = h.opts.Cache.Manifest(ctx, ref.Digest)
	return d, body, missed, err
}

// takeManifest puts a manifest into the cache if the bucket has it.
func (h *Handler) takeManifest(ctx context.Context, d digest.Digest) bool {
	if d.Validate() != nil {
		return false // of a source
	}
	mediaType, body, ok := h.opts.Bucket.Read(ctx, d, image.MaxManifestSize)
	if ok {
		_, err := h.opts.Cache.PutManifest(ctx, mediaType, body)
		ok = err == nil
	}
	return ok
}

// keepManifest puts a manifest of a source into the cache and the bucket.
func (h *Handler) keepManifest(ctx context.Context, mediaType string, body []byte) (ocispec.Descriptor, error) {
	d, err := h.opts.Cache.PutManifest(ctx, mediaType, body)
	if err == nil {
		h.opts.Bucket.PutSmall(d.MediaType, body)
	}
	return d, err
}

// available returns why the blobs of a manifest cannot be had, as far as that is known:
// podman takes them only from where it got the manifest.
func (h *Handler) available(d digest.Digest, from origin) error {
	lacks, err := h.opts.Cache.Lacks(d)
	if err != nil || len(lacks) == 0 {
		return err
	}
	if h.opts.Offline || from == stale {
		return fmt.Errorf("%d blobs of manifest %s are not in the cache, and no source can be asked", len(lacks), d)
	}
	for _, b := range lacks {
		if h.isUnavailable(b) {
			return fmt.Errorf("no source has blob %s of manifest %s", b, d)
		}
	}
	return nil
}

func (h *Handler) isUnavailable(d digest.Digest) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.unavailable[d]
	if ok && time.Since(at) > unavailableFor {
		delete(h.unavailable, d)
		ok = false
	}
	return ok
}

// isSilent reports whether nobody has answered recently for a registry.
func (h *Handler) isSilent(registry string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.silent[registry]) < silentFor
}

func (h *Handler) setSilent(registry string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent[registry] = time.Now()
}

func (h *Handler) clearSilent(registry string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.silent, registry)
}

/* Fencing: two nodes, one store, one session, and a client that dials now this node and now that one (DESIGN §7, lib/stores/store.ts,
 * docs/decisions/0007). Either node may be still for any time, and go on with what it had in mind. Circuit k has generation k + 1.
 *
 * What a node has done is a history: an entry for each message and each push, which holds the tenure under which it was made. Data and outputs are
 * that history; entry k is output k. A call to the store is done, or not, or will be done later, and its caller may learn nothing of it; then it
 * repeats the call. A claim is seen through even where its circuit has gone. Bytes in flight are left out as in commit.pml. */
#ifndef CIRCUITS
#define CIRCUITS 3      /* that of OPEN and two more */
#endif
#ifndef MESSAGES
#define MESSAGES 1
#endif
#ifndef PUSHES
#define PUSHES 1
#endif
#ifndef FAULTS
#define FAULTS 1        /* calls to the store whose answer is never seen */
#endif
#define ENTRIES (MESSAGES + PUSHES)
#define PUSH 8
#define NONE 15
#define LAST (CIRCUITS - 1)
#define GENERATION(k) ((k) + 1)

mtype = { NOTHING, DONE, FENCED, STALE, LOST };                 /* answers of the store */
mtype = { RECLAIM, CONFIRM, FOREIGN };                          /* what a node asks the store for a circuit */
mtype = { UNUSED, ASKED, RESUMED, RETRY, REFUSED, OVER };       /* what a circuit carries */

typedef History { byte handled; byte pushed; byte entry[ENTRIES] };
typedef Write { bool there; byte owner; byte tenure; byte number; History is };
typedef Node {
  bool holds; byte tenure; byte generation; byte number; byte circuit;
  History is;
  byte releasedIn; byte releasedOut;
  bool waiting; mtype answer;
  byte asking; mtype how; mtype verdict                         /* a claim: for which circuit, and how it ended */
};
typedef Record { byte owner; byte tenure; byte generation; byte number; History is };

Node nodes[2];
Write flying[2];
Write late;                                 /* a call that nobody waits for any more */
Record record;

/* circuits, and what their RESUME says */
mtype carries[CIRCUITS] = UNUSED;
byte to[CIRCUITS]; byte askedTaken[CIRCUITS]; byte askedFreed[CIRCUITS];
bool closed;                                /* the node has closed the last circuit */

/* the client */
byte used = 1; byte attempt = NONE; byte attached; byte freed; byte taken; byte log[ENTRIES];

/* ghosts */
byte counted = 1;                           /* the highest number whose write counts */
byte granted[CIRCUITS];                     /* node + 1 to which the store granted it */
bool takenFrom[2]; bool learnt[2];
byte faults;

hidden byte i;

#define LENGTH(h) (h.handled + h.pushed)
#define COPY(to, was) to.handled = was.handled; to.pushed = was.pushed; \
  i = 0; do :: i < ENTRIES -> to.entry[i] = was.entry[i]; i++ :: else -> break od
#define CLEAR(h) h.handled = 0; h.pushed = 0; i = 0; do :: i < ENTRIES -> h.entry[i] = 0; i++ :: else -> break od
#define COPY_WRITE(to, was) to.owner = was.owner; to.tenure = was.tenure; to.number = was.number; COPY(to.is, was.is)
#define FORGET(w) w.owner = 0; w.tenure = 0; w.number = 0; CLEAR(w.is)
#define FITS(n, k) (askedTaken[k] <= nodes[n].releasedOut && askedFreed[k] <= nodes[n].is.handled)

/* ------------------------------------------------------------------ a node */

inline act(n, what) {
  assert(!learnt[n]);                       /* who learnt that it was fenced delivers nothing more */
  nodes[n].is.entry[LENGTH(nodes[n].is)] = nodes[n].tenure + what
}

inline write(n) {
  nodes[n].waiting = true;
  flying[n].there = true; flying[n].owner = n; flying[n].tenure = nodes[n].tenure;
  flying[n].number = nodes[n].number + 1; COPY(flying[n].is, nodes[n].is)
}

inline stored(n) {
  nodes[n].number++; nodes[n].releasedIn = flying[n].is.handled; nodes[n].releasedOut = LENGTH(flying[n].is);
  nodes[n].waiting = false; FORGET(flying[n])
}

inline leave(n) {
  if :: nodes[n].circuit == LAST -> closed = true :: else fi;
  nodes[n].circuit = NONE
}

inline lose(n) {                            /* ERR_FENCED: the session goes on elsewhere, and here it ends */
  assert(takenFrom[n]);                     /* only a foreign claim fences */
  learnt[n] = true;
#ifndef MUTANT_FENCED_GOES_ON
  leave(n);
  nodes[n].holds = false; nodes[n].tenure = 0; nodes[n].generation = 0;
#ifndef MUTANT_KEEPS_MEMORY
  nodes[n].number = 0; nodes[n].releasedIn = 0; nodes[n].releasedOut = 0; CLEAR(nodes[n].is);
#endif
#endif
  nodes[n].waiting = false; flying[n].there = false; FORGET(flying[n])
}

inline load(n) {
#ifdef MUTANT_KEEPS_MEMORY
  if :: LENGTH(nodes[n].is) == 0 -> COPY(nodes[n].is, record.is) :: else fi;
#else
  COPY(nodes[n].is, record.is);
#endif
  nodes[n].number = record.number; nodes[n].releasedIn = nodes[n].is.handled; nodes[n].releasedOut = LENGTH(nodes[n].is)
}

inline ask(n, k) {                          /* a RESUME whose MAC was good */
  nodes[n].asking = k; nodes[n].verdict = NOTHING;
  if
  :: !nodes[n].holds -> nodes[n].how = FOREIGN
#ifdef MUTANT_POSITIONS_BEFORE_CLAIM
       ; load(n)
#endif
#ifdef MUTANT_MEMORY_REFUSES
  :: nodes[n].holds && !(GENERATION(k) > nodes[n].generation && FITS(n, k)) -> nodes[n].how = CONFIRM; nodes[n].verdict = DONE
#else
  :: nodes[n].holds && !(GENERATION(k) > nodes[n].generation && FITS(n, k)) -> nodes[n].how = CONFIRM
#endif
  :: nodes[n].holds && GENERATION(k) > nodes[n].generation && FITS(n, k) -> nodes[n].how = RECLAIM;
#ifdef MUTANT_MEMORY_ACCEPTS
       nodes[n].verdict = DONE
#endif
  fi
}

inline reply(n, k, what) {
  carries[k] = (attempt == k -> what : OVER); askedTaken[k] = 0; askedFreed[k] = 0; granted[k] = 0;
  nodes[n].asking = NONE; nodes[n].how = 0; nodes[n].verdict = NOTHING
}

inline fence(n, k) {                        /* one step: by what is here now */
  if
  :: k != LAST -> reply(n, k, RETRY)       /* its circuit has gone, or it took too long: the claim stands all the same */
  :: GENERATION(k) > nodes[n].generation && FITS(n, k) ->
       assert(granted[k] == n + 1);         /* a circuit is accepted by whom the store granted it to */
       leave(n);
       nodes[n].generation = GENERATION(k); nodes[n].circuit = k;
#ifdef MUTANT_FENCE_BY_GENERATION
       nodes[n].tenure = GENERATION(k);
#endif
       reply(n, k, RESUMED)
  :: !(GENERATION(k) > nodes[n].generation && FITS(n, k)) -> reply(n, k, REFUSED)
  fi
}

inline judged(n, k) {
  if
  :: nodes[n].verdict == DONE && nodes[n].how == CONFIRM -> reply(n, k, REFUSED)
  :: nodes[n].verdict == DONE && nodes[n].how == RECLAIM -> fence(n, k)
  :: nodes[n].verdict == DONE && nodes[n].how == FOREIGN ->
       nodes[n].holds = true; nodes[n].tenure = GENERATION(k); nodes[n].generation = GENERATION(k) - 1; learnt[n] = false;
       fence(n, k)
  :: nodes[n].verdict == FENCED -> lose(n); nodes[n].how = FOREIGN; nodes[n].verdict = NOTHING
  :: nodes[n].verdict == STALE || nodes[n].verdict == LOST -> reply(n, k, REFUSED)
  fi
}

/* Operations on the record run one at a time. */
#define IDLE(n) (!nodes[n].waiting && nodes[n].asking == NONE)

proctype Process(byte n) {
  byte k;
end: do
  :: atomic { nodes[n].holds && nodes[n].circuit != NONE && nodes[n].is.handled < MESSAGES -> act(n, 0); nodes[n].is.handled++ }
  :: atomic { nodes[n].holds && nodes[n].is.pushed < PUSHES -> act(n, PUSH); nodes[n].is.pushed++ }

  :: atomic { nodes[n].holds && IDLE(n) && LENGTH(nodes[n].is) > nodes[n].releasedOut -> write(n) }
  :: atomic { nodes[n].waiting && nodes[n].answer == DONE -> nodes[n].answer = 0; stored(n) }
#ifdef MUTANT_FENCED_RELEASES
  :: atomic { nodes[n].waiting && nodes[n].answer == FENCED -> nodes[n].answer = 0; stored(n) }
#else
  :: atomic { nodes[n].waiting && nodes[n].answer == FENCED -> nodes[n].answer = 0; lose(n) }
#endif
  :: atomic { nodes[n].waiting && nodes[n].answer == 0 && !flying[n].there -> flying[n].there = true }

  :: atomic { nodes[n].asking != NONE && nodes[n].verdict != NOTHING -> k = nodes[n].asking; judged(n, k); k = 0 }

  :: atomic { nodes[n].circuit != NONE && nodes[n].circuit != LAST -> leave(n) }
  od
}

proctype Resume(byte k) {                   /* the RESUME of circuit k, at its node */
end: do
  :: atomic { carries[k] == ASKED && IDLE(to[k]) -> ask(to[k], k) }
  :: atomic { carries[k] == ASKED && k != LAST -> carries[k] = (attempt == k -> RETRY : OVER); askedTaken[k] = 0; askedFreed[k] = 0 }
  od
}

/* ------------------------------------------------------------------ the store */

#ifdef MUTANT_NO_FENCE
#define OUTRUN(w) false
#else
#ifdef MUTANT_FENCE_BY_OWNER
#define OUTRUN(w) (record.owner != w.owner)
#else
#ifdef MUTANT_FENCE_BY_GENERATION
#define OUTRUN(w) (record.generation != w.tenure)
#else
#define OUTRUN(w) (record.tenure != w.tenure)
#endif
#endif
#endif

inline judge(w, told) {
  if
  :: OUTRUN(w) -> told = FENCED
  :: !OUTRUN(w) && w.number <= record.number -> told = DONE
  :: !OUTRUN(w) && w.number > record.number ->
       assert(w.number > counted);          /* one owner's commit counts per number */
       counted = w.number;
       record.number = w.number; COPY(record.is, w.is); told = DONE
  fi
}

#ifdef MUTANT_STALE_CLAIM
#define NEWER(k) true
#else
#define NEWER(k) (GENERATION(k) > record.generation)
#endif
#ifdef MUTANT_REPEAT_REFUSED
#define GRANTED(n, k) false
#else
#define GRANTED(n, k) (GENERATION(k) == record.generation && record.owner == n && (nodes[n].how == FOREIGN || record.tenure == nodes[n].tenure))
#endif

inline grant(n, k) {
  if :: record.owner != n -> takenFrom[record.owner] = true :: else fi;
  granted[k] = n + 1;
  record.generation = GENERATION(k); record.owner = n;
  if
  :: nodes[n].how == FOREIGN -> takenFrom[n] = false; record.tenure = GENERATION(k);
#ifndef MUTANT_POSITIONS_BEFORE_CLAIM
       load(n)
#endif
  :: else
#ifdef MUTANT_FENCES_ITSELF
       -> record.tenure = GENERATION(k)
#endif
  fi;
  nodes[n].verdict = DONE
}

inline judgeClaim(n, k) {
  if
  :: nodes[n].how == CONFIRM -> nodes[n].verdict = (record.tenure == nodes[n].tenure -> DONE : FENCED)
  :: nodes[n].how != CONFIRM && GRANTED(n, k) -> grant(n, k)
  :: nodes[n].how != CONFIRM && !GRANTED(n, k) ->
       if
       :: nodes[n].how == RECLAIM && record.tenure != nodes[n].tenure -> nodes[n].verdict = FENCED
       :: else ->
            if
            :: !NEWER(k) -> nodes[n].verdict = STALE
            :: NEWER(k) && nodes[n].how == FOREIGN && !(askedTaken[k] <= LENGTH(record.is) && askedFreed[k] <= record.is.handled) ->
                 nodes[n].verdict = LOST
            :: NEWER(k) && (nodes[n].how == RECLAIM || (askedTaken[k] <= LENGTH(record.is) && askedFreed[k] <= record.is.handled)) -> grant(n, k)
            fi
       fi
  fi
}

proctype Store(byte n) {
  mtype told;
end: do
  :: atomic { flying[n].there -> flying[n].there = false; judge(flying[n], told);
       if
       :: nodes[n].answer = told
       :: faults < FAULTS -> faults++       /* the answer is lost */
       fi; told = 0 }
  :: atomic { flying[n].there && faults < FAULTS && !late.there ->
       faults++; flying[n].there = false; COPY_WRITE(late, flying[n]); late.there = true }
  :: atomic { n == 0 && late.there -> late.there = false; judge(late, told); told = 0; FORGET(late) }
  :: atomic { nodes[n].asking != NONE && nodes[n].verdict == NOTHING -> judgeClaim(n, nodes[n].asking);
       if
       :: true
       :: faults < FAULTS -> faults++; nodes[n].verdict = NOTHING
       fi }
  od
}

/* ------------------------------------------------------------------ the client */

#define PEER nodes[to[attached]]
#define TALKS (attached != NONE && attempt == NONE && PEER.holds && PEER.circuit == attached)

proctype Client() {
end: do
  :: atomic { attempt == NONE && used < CIRCUITS ->
       attempt = used; used++; carries[attempt] = ASKED; askedTaken[attempt] = taken; askedFreed[attempt] = freed;
       if :: to[attempt] = 0 :: to[attempt] = 1 fi }
  :: atomic { attempt != NONE && carries[attempt] == RESUMED ->
       attached = attempt; attempt = NONE; carries[attached] = OVER }
  :: atomic { attempt != NONE && carries[attempt] == RETRY -> carries[attempt] = OVER; attempt = NONE }   /* the older circuit still counts */
  :: atomic { attempt != NONE && carries[attempt] == REFUSED -> assert(false) }   /* its newest circuit, and no byte is missing */
  :: atomic { attempt != NONE && attempt != LAST ->     /* no verdict: the older circuit goes as well */
       if :: carries[attempt] != ASKED -> carries[attempt] = OVER :: else fi; attempt = NONE; attached = NONE }
  :: atomic { attached != NONE && (attached != LAST || closed) -> attached = NONE }
  :: atomic { TALKS && taken < PEER.releasedOut ->
       log[taken] = PEER.is.entry[taken];
       assert(taken < LENGTH(record.is) && log[taken] == record.is.entry[taken]);   /* never a byte of another history */
       taken++ }
  :: atomic { TALKS && freed < PEER.releasedIn -> freed = PEER.releasedIn; assert(freed <= record.is.handled) }
  od
}

proctype Verdict() {
  atomic { timeout ->
    assert(attached == LAST && freed == MESSAGES && taken == ENTRIES && record.is.handled == MESSAGES && record.is.pushed == PUSHES);
    i = 0;
    do :: i < ENTRIES -> assert(log[i] == record.is.entry[i]); i++ :: else -> break od
  }
}

init {
  atomic {
    nodes[0].holds = true; nodes[0].tenure = 1; nodes[0].generation = 1; nodes[0].number = 1;
    nodes[0].asking = NONE; nodes[1].asking = NONE; nodes[1].circuit = NONE; nodes[0].verdict = NOTHING; nodes[1].verdict = NOTHING;
    record.tenure = 1; record.generation = 1; record.number = 1; granted[0] = 1; carries[0] = OVER;
    run Process(0); run Process(1); run Store(0); run Store(1); run Client(); run Verdict();
    i = 0; do :: i < CIRCUITS -> run Resume(i); i++ :: else -> break od
  }
}

/* Tickets: sessions whose record the client keeps, sealed (DESIGN §7, design-review.md R3, PROTOCOL.md §6.1). Two nodes without a store.
 *
 * What a node has done is a history: an entry for each output of a message and for each push, which holds the line under which it was made. A line
 * begins where a session is opened, or restored in one process: its name is random. A ticket is a history, the line that sealed it, and how many
 * messages it has consumed; session.data is in it. The client withholds outputs until a ticket covers them, and frees a message when it is acked.
 * Each dial gives up the circuit before; its RESUME may arrive much later, and make memory that nobody wants. Nodes forget all at any moment.
 * Tickets are paced: not each boundary gets one. A handler answers in BURST outputs, one after the other; a push may come between them.
 *
 * REPLAY    somebody repeats a RESUME once, to either node, on a circuit of his own */
#ifndef DIALS
#define DIALS 3         /* that of OPEN and two more; dial g is generation g */
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef PUSHES
#define PUSHES 1
#endif
#ifndef BURST
#define BURST 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifdef MUTANT_TOO_LARGE
#define WINDOW 1
#else
#define WINDOW (2 * (BURST + PUSHES))      /* the outputs of one boundary fit half of it */
#endif
#define ENTRIES (MESSAGES * BURST + PUSHES)
#define ENTRY(what, line) (16 * ((what) + 1) + (line))
#define REPLAYED 8                         /* names of lines: the generation that began it, and this for a replayed RESUME */

mtype = { OUTPUT, TICKET, ACK };

typedef Ticket { byte line; byte length; byte done; byte entry[ENTRIES] };
typedef Node {
  bool knows; bool strange;                  /* strange: its circuit is not the client's */
  byte generation; byte line; byte length; byte done; byte entry[ENTRIES];
  byte origin; byte originLength; byte originDone;   /* the ticket that the line was restored from */
  byte burst;                              /* outputs of the message in progress */
  bool unsealed;                           /* this circuit has had no ticket yet */
  byte sealedLength; byte sealedDone       /* what the newest ticket of this circuit covers */
};
typedef Asked { bool there; byte to; Ticket ticket };

chan down = [2 * ENTRIES + 2] of { mtype, byte, byte };
byte line; byte carried[ENTRIES];          /* the line and the history that this circuit carries: what a ticket on it says */

Node nodes[2];
Asked asked[DIALS + 1];                    /* RESUMEs on their way, by generation */

/* the client */
byte current = 1; Ticket ticket; byte have[ENTRIES]; byte received; byte taken; byte freed;

byte pushes; byte crashes;
#ifdef REPLAY
Ticket seen; byte by; byte where; bool repeated;   /* by: its generation; 0: none is on its way */
#endif
#ifdef MUTANT_RECEIVED_ALL
bool stateLost;                            /* an end with an error: not what the mutant is here for */
#endif
byte given[ENTRIES];                       /* ghost: what the application was ever given */
hidden byte i; hidden Ticket shown;

#define COPY(to, was, n) i = 0; do :: i < ENTRIES -> to[i] = (i < (n) -> was[i] : 0); i++ :: else -> break od
#define COPY_TICKET(to, was) to.line = was.line; to.length = was.length; to.done = was.done; COPY(to.entry, was.entry, was.length)
#define CLEAR_TICKET(t) t.line = 0; t.length = 0; t.done = 0; COPY(t.entry, t.entry, 0)
#define LIVE(n) (nodes[n].knows && nodes[n].generation == current && !nodes[n].strange)

/* ------------------------------------------------------------------ a node */

inline act(n, what) {                      /* outputs go at once: the client withholds them */
  nodes[n].entry[nodes[n].length] = ENTRY(what, nodes[n].line);
  if :: LIVE(n) -> carried[nodes[n].length] = nodes[n].entry[nodes[n].length]; down!OUTPUT, nodes[n].entry[nodes[n].length], 0 :: else fi;
  nodes[n].length++
}

inline once(n, what) {                     /* each message acts once in a history */
  i = 0;
  do :: i < nodes[n].length -> assert(nodes[n].entry[i] / 16 != (what) + 1); i++ :: else -> break od
}

#if defined(MUTANT_TICKET_IN_MESSAGE)
#define BOUNDARY(n) true
#else
#define BOUNDARY(n) (nodes[n].burst == 0)
#endif

inline seal(n) {
  nodes[n].unsealed = false; nodes[n].sealedLength = nodes[n].length;
#ifdef MUTANT_ACK_FIRST
  if :: nodes[n].done > nodes[n].sealedDone -> down!ACK, nodes[n].done, 0 :: else fi;
#endif
  down!TICKET, nodes[n].length, nodes[n].done;
#ifndef MUTANT_ACK_FIRST
  if :: nodes[n].done > nodes[n].sealedDone -> down!ACK, nodes[n].done, 0 :: else fi;
#endif
  nodes[n].sealedDone = nodes[n].done
}

inline forget(n) {
  nodes[n].knows = false; nodes[n].strange = false; nodes[n].generation = 0; nodes[n].line = 0; nodes[n].length = 0;
  nodes[n].origin = 0; nodes[n].originLength = 0; nodes[n].originDone = 0; nodes[n].unsealed = false;
  nodes[n].done = 0; nodes[n].burst = 0;
  nodes[n].sealedLength = 0; nodes[n].sealedDone = 0; COPY(nodes[n].entry, nodes[n].entry, 0)
}

/* Its memory has all that the ticket tells: this line sealed it, or was restored from it. */
#define SEALED(n) (nodes[n].line == shown.line)
#define ORIGIN(n) (nodes[n].origin == shown.line && nodes[n].originLength == shown.length && nodes[n].originDone == shown.done)
#ifdef MUTANT_MEMORY_BY_COUNT
#define PREFERS(n) (nodes[n].length >= shown.length)
#else
#ifdef MUTANT_MEMORY_BY_GENERATION
#define PREFERS(n) (nodes[n].line % REPLAYED == shown.line % REPLAYED && nodes[n].length >= shown.length)
#else
#ifdef MUTANT_ORIGIN_BY_LINE
#define PREFERS(n) (SEALED(n) || nodes[n].origin == shown.line)
#else
#define PREFERS(n) (SEALED(n) || ORIGIN(n))
#endif
#endif
#endif

inline resume(n, g, again) {
  if
#ifndef MUTANT_STALE_RESUME
  :: nodes[n].knows && nodes[n].generation >= g   /* older than what it has in memory */
#endif
  :: else ->
     if
     :: nodes[n].knows && PREFERS(n)
     :: else ->
          nodes[n].knows = true; nodes[n].line = (again -> g + REPLAYED : g); nodes[n].burst = 0;
          nodes[n].origin = shown.line; nodes[n].originLength = shown.length; nodes[n].originDone = shown.done;
          nodes[n].length = shown.length; nodes[n].done = shown.done; COPY(nodes[n].entry, shown.entry, shown.length)
     fi;
     nodes[n].generation = g; nodes[n].strange = again;
     nodes[n].unsealed = true; nodes[n].sealedLength = shown.length; nodes[n].sealedDone = shown.done;
#ifdef MUTANT_NO_TICKET_ON_RESUME
     nodes[n].unsealed = false; nodes[n].sealedLength = nodes[n].length; nodes[n].sealedDone = nodes[n].done;
#endif
     if
     :: g == current && !again ->
          assert(freed <= nodes[n].done);          /* what the client has freed is covered */
#ifdef MUTANT_RECEIVED_ALL
          if :: received > nodes[n].length -> stateLost = true; received = 0 :: else fi;
#else
          assert(received <= nodes[n].length);
#endif
          line = nodes[n].line; COPY(carried, nodes[n].entry, nodes[n].length);
          down!ACK, shown.done, 0;                     /* RESUMED tells it */
          i = received;
          do :: i < nodes[n].length -> down!OUTPUT, nodes[n].entry[i], 0; i++ :: else -> break od
     :: else
     fi
  fi;
  if :: nodes[n].strange || nodes[n].generation != current -> nodes[n].unsealed = false; nodes[n].sealedLength = 0; nodes[n].sealedDone = 0 :: else fi
}

/* Room for what one step writes; and what the client has not taken fits the window. */
#define ROOM(n) (!LIVE(n) || (len(down) + 3 <= 2 * ENTRIES + 2 && nodes[n].length < taken + WINDOW))

proctype Process(byte n) {
end: do
  /* A message that is in its way, as early data or behind RESUMED: what the client has freed it does not send again. */
  :: atomic { nodes[n].knows && nodes[n].burst == 0 && nodes[n].done < MESSAGES && nodes[n].length < ENTRIES && ROOM(n) ->
       once(n, nodes[n].done); act(n, nodes[n].done); nodes[n].burst++ }
  :: atomic { nodes[n].burst > 0 && nodes[n].burst < BURST && nodes[n].length < ENTRIES && ROOM(n) ->
       act(n, nodes[n].done); nodes[n].burst++ }
  :: atomic { nodes[n].burst == BURST -> nodes[n].burst = 0; nodes[n].done++ }
  :: atomic { nodes[n].knows && pushes < PUSHES && nodes[n].length < ENTRIES && ROOM(n) -> act(n, MESSAGES + pushes); pushes++ }
  :: atomic { LIVE(n) && BOUNDARY(n) && len(down) + 2 <= 2 * ENTRIES + 2 &&
       (nodes[n].unsealed || nodes[n].length > nodes[n].sealedLength || nodes[n].done > nodes[n].sealedDone) -> seal(n) }
  :: atomic { nodes[n].knows && crashes < CRASHES && current < DIALS -> crashes++; forget(n) }
  od
}

proctype Resume(byte g) {
end: do
  :: atomic { asked[g].there ->
#ifdef REPLAY
       if
       :: !repeated && g < DIALS -> repeated = true; by = g; COPY_TICKET(seen, asked[g].ticket);
            if :: where = 0 :: where = 1 fi
       :: true
       fi;
#endif
       COPY_TICKET(shown, asked[g].ticket); resume(asked[g].to, g, false);
       asked[g].there = false; asked[g].to = 0; CLEAR_TICKET(asked[g].ticket) }
#ifdef REPLAY
  :: atomic { by == g ->
       COPY_TICKET(shown, seen); resume(where, g, true);
       by = 0; where = 0; CLEAR_TICKET(seen) }
#endif
  od
}

/* ------------------------------------------------------------------ the client */

inline give() {                            /* to the application: never two things in one place */
  i = 0;
  do
  :: i < taken -> assert(given[i] == 0 || given[i] == have[i]); given[i] = have[i]; i++
  :: else -> break
  od
}

inline cover(reach, consumed) {
  assert(received >= reach);               /* who holds a ticket holds the bytes */
  i = 0;
  do :: i < reach -> assert(have[i] == carried[i]); i++ :: else -> break od;
  ticket.line = line; ticket.length = reach; ticket.done = consumed; COPY(ticket.entry, carried, reach);
  taken = reach; give()
}

inline dial() {
  do :: nempty(down) -> down?_, _, _ :: empty(down) -> break od;
  line = 0; COPY(carried, carried, 0);
  current++;
  asked[current].there = true;
  if :: asked[current].to = 0 :: asked[current].to = 1 fi;
  COPY_TICKET(asked[current].ticket, ticket);
#ifndef MUTANT_RECEIVED_ALL
  received = ticket.length; COPY(have, have, received)   /* withheld bytes go: another node may write others */
#endif
}

proctype Client() {
  byte x; byte y;
#ifdef MUTANT_OLD_TICKET
  Ticket older;
#endif
end: do
  :: atomic { down?[OUTPUT, _, _] -> down?OUTPUT, x, _; have[received] = x; received++; x = 0;
#ifdef MUTANT_RELEASES_EARLY
       taken = received; give()
#endif
     }
  :: atomic { down?[TICKET, _, _] -> down?TICKET, x, y;
#ifdef MUTANT_OLD_TICKET
       COPY_TICKET(older, ticket);
#endif
#ifdef MUTANT_STORES_APART
       if                                  /* its process dies when the ticket is stored and the bytes are not */
       :: i = taken; cover(x, y); received = x; taken = x; COPY(have, have, x)
       :: current < DIALS ->
            ticket.line = line; ticket.length = x; ticket.done = y; COPY(ticket.entry, carried, x);
            COPY(have, have, taken)
       fi;
#else
       cover(x, y);
#endif
       x = 0; y = 0 }
  :: atomic { down?[ACK, _, _] -> down?ACK, x, _; freed = x; x = 0 }
  :: atomic { current < DIALS -> dial() }
#ifdef MUTANT_OLD_TICKET
  :: atomic { current < DIALS && older.line > 0 -> COPY_TICKET(ticket, older); dial() }
#endif
  od
}

proctype Verdict() {
  byte n;
  atomic { timeout ->
    if :: LIVE(0) -> n = 0 :: else -> n = 1 fi;
    assert(LIVE(n) && nodes[n].done == MESSAGES && freed == MESSAGES && taken == nodes[n].length);
    i = 0;
    do :: i < taken -> assert(have[i] == nodes[n].entry[i]); i++ :: else -> break od
  }
}

init {
  atomic {
    ticket.line = 1; line = 1;             /* what OPENED has begun: whoever restores the session knows it */
    nodes[0].knows = true; nodes[0].generation = 1; nodes[0].line = 1;
    run Process(0); run Process(1); run Client(); run Verdict();
    i = 2; do :: i <= DIALS -> run Resume(i); i++ :: else -> break od
  }
}

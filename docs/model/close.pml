/* Close: both applications have ended their side, and both sides find out (PROTOCOL.md §11).
 *
 * Side 0 dials, side 1 accepts. Each has 0 or 1 bytes in flight or still to write, and then END; each has a reader or none. Circuits are
 * numbered from 1; each side may lose any but LAST at any moment, without the other knowing: what is in flight arrives late, in part, or never.
 * Which circuit counts is not in question here (resume.pml shows that): a new one empties the older one, and RESUME has no early data.
 *
 * EVICT     the accepting side may forget its tombstone at any time (B-5) */
#ifndef CIRCUITS
#define CIRCUITS 3
#endif
#define LAST CIRCUITS
#define OTHER(w) (1 - (w))

mtype = { RESUME, RESUMED, CLOSED, UNKNOWN, DATA, END, ACK, DISCARD, CLOSE };
mtype = { OPEN, CLEAN, UNREAD, FAILED };          /* how it ended for the application: UNREAD by itself, FAILED by the other */
mtype = { NO_TOMBSTONE, KEPT, EVICTED };

chan to[2] = [4] of { mtype, byte, byte };        /* to[w] is read by side w */
byte used = 1;
byte on[2];                                       /* the circuit that this side is on, 0: none */
bool answered = true;                             /* RESUME of the dialing side has its verdict */
bool resuming;                                    /* and this side has it still to read */
bool closed[2];                                   /* this side wrote CLOSE on this circuit: nothing more */

bool reader[2];
byte count[2];                                    /* bytes that this side's application writes; END takes offset count */
byte next[2]; byte base[2];
byte received[2]; byte acked[2]; byte told[2];
bool discarded[2];                                /* bytes came that nobody reads */
bool discardTold[2]; bool peerDiscards[2];        /* DISCARD was written on this circuit; was ever read */
bool ended[2];                                    /* END has come */
mtype outcome[2] = OPEN;
mtype tombstone = NO_TOMBSTONE;

hidden byte x; hidden byte y;

#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define DONE(w) (base[w] == count[w] + 1 && ended[w] && acked[w] == count[OTHER(w)] + 1)         /* C-1 */
#define UNREAD_DUE(w) (discarded[w] && (base[w] == count[w] + 1 || peerDiscards[w]))
#define MAY_WRITE(w) (on[w] != 0 && !closed[w] && (w == 1 || answered) && (on[OTHER(w)] != on[w] || nfull(to[OTHER(w)])))
#define PUT(w, ...) if :: on[OTHER(w)] == on[w] -> to[OTHER(w)]!__VA_ARGS__ :: else fi
#define EMPTY(w) do :: nempty(to[w]) -> to[w]?_, _, _ :: empty(to[w]) -> break od
#define LIVE(w) (outcome[w] == OPEN)

inline leave(w) {
  if :: w == 1 && resuming :: else -> EMPTY(w) fi;
  on[w] = 0; closed[w] = false; told[w] = 0;
  if :: LIVE(w) -> next[w] = 0 :: else fi
}

inline over(w, how) {
  assert(LIVE(w));
  outcome[w] = how;
  if :: w == 1 -> tombstone = KEPT :: else -> leave(0) fi;
  /* Clean is the truth: the other application has consumed all that this one wrote, and this one all of the other's. */
  assert(how != CLEAN || (DONE(w) && acked[OTHER(w)] == count[w] + 1 &&
    (reader[0] || count[1] == 0) && (reader[1] || count[0] == 0)))
}

inline attach(w, theirReceived, theirAcked) {
  base[w] = MAX(base[w], theirAcked); closed[w] = false;
#ifndef MUTANT_DISCARD_ONCE
  discardTold[w] = false;
#endif
#ifdef MUTANT_END_ONCE
  next[w] = (next[w] > count[w] -> next[w] : theirReceived)
#else
  next[w] = theirReceived
#endif
}

inline conclude(clean) {                          /* C-5, C-6: the dialing side was told that the session is no more */
  if
  :: clean -> over(0, CLEAN)
  :: !(clean) && discarded[0] -> over(0, UNREAD)
  :: !(clean) && !discarded[0] -> over(0, FAILED)
  fi
}

inline take(w) {                                  /* one message, x and y are its numbers */
  if
  :: to[w]?RESUME, x, y -> resuming = false;
       if
       :: LIVE(1) -> EMPTY(0); on[1] = on[0]; attach(1, x, y); told[1] = acked[1];
            if :: on[0] != 0 -> to[0]!RESUMED, received[1], acked[1] :: else fi
       :: !LIVE(1) && tombstone == KEPT -> if :: on[0] != 0 -> to[0]!CLOSED, received[1], acked[1] :: else fi; on[1] = 0; closed[1] = false
       :: !LIVE(1) && tombstone != KEPT -> if :: on[0] != 0 -> to[0]!UNKNOWN, 0, 0 :: else fi; on[1] = 0; closed[1] = false
       fi
  :: to[w]?RESUMED, x, y -> answered = true; attach(0, x, y)
  :: to[w]?CLOSED, x, y -> answered = true;
#ifndef MUTANT_FINALS_IGNORED
       base[0] = MAX(base[0], y);
#endif
       conclude(DONE(0))
  :: to[w]?UNKNOWN, _, _ -> answered = true;
#ifdef MUTANT_UNKNOWN_FAILS
       conclude(false)
#else
       conclude(DONE(0))
#endif
  :: to[w]?DATA, x, _ -> assert(x <= received[w]);
       if :: x == received[w] -> received[w]++;
#ifdef MUTANT_DISCARDED_ACKED
#else
            if :: reader[w] :: else -> discarded[w] = true fi
#endif
          :: else fi
  :: to[w]?END, x, _ -> assert(x <= received[w]);
       if :: x == received[w] -> received[w]++; ended[w] = true :: else fi
  :: to[w]?DISCARD, _, _ -> peerDiscards[w] = true
  :: to[w]?ACK, x, _ -> base[w] = MAX(base[w], x)
  :: to[w]?CLOSE, x, _ ->
       if
       :: x == 0 ->
            assert(DONE(w));                      /* C-3 */
            if
            :: w == 0 -> over(0, CLEAN)
#ifdef MUTANT_ACCEPTOR_WAITS
            :: w == 1 && LIVE(1) -> over(1, CLEAN); tombstone = NO_TOMBSTONE
#endif
            :: w == 1 -> tombstone = NO_TOMBSTONE; if :: LIVE(1) -> over(1, CLEAN); tombstone = NO_TOMBSTONE :: else fi
            fi
       :: else ->
            if :: LIVE(w) -> over(w, FAILED) :: else fi;
            if :: on[w] != 0 -> leave(w) :: else fi
       fi
  fi
}

proctype Side(byte w) {
end: do
  :: atomic { MAY_WRITE(w) && LIVE(w) && next[w] < count[w] -> PUT(w, DATA, next[w], 0); next[w]++ }
  :: atomic { MAY_WRITE(w) && LIVE(w) && next[w] == count[w] -> PUT(w, END, count[w], 0); next[w]++ }
  :: atomic { MAY_WRITE(w) && told[w] < acked[w] -> PUT(w, ACK, acked[w], 0); told[w] = acked[w] }
  :: atomic { !discarded[w] && acked[w] < received[w] -> acked[w]++ }       /* a message; or END, which needs no reader (S-6) */
#ifdef MUTANT_CLOSE_BEFORE_ACK
  :: atomic { MAY_WRITE(w) && DONE(w) -> PUT(w, CLOSE, 0, 0); closed[w] = true }
#else
  :: atomic { MAY_WRITE(w) && DONE(w) && told[w] == acked[w] -> PUT(w, CLOSE, 0, 0); closed[w] = true }   /* C-2 */
#endif
#ifndef MUTANT_ACCEPTOR_WAITS
  :: atomic { w == 1 && LIVE(1) && DONE(1) -> over(1, CLEAN) }               /* C-4 */
#endif
#ifdef MUTANT_DIALER_FORGETS
  :: atomic { w == 0 && LIVE(0) && DONE(0) && closed[0] -> over(0, CLEAN) }
#endif
  /* C-9 */
  :: atomic { MAY_WRITE(w) && LIVE(w) && discarded[w] && !discardTold[w] -> PUT(w, DISCARD, 0, 0); discardTold[w] = true }
  :: atomic { w == 1 && LIVE(1) && UNREAD_DUE(1) ->
       if :: on[1] != 0 && !closed[1] -> if :: on[0] != on[1] || nfull(to[0]) -> PUT(1, CLOSE, 3, 0); closed[1] = true fi :: else fi;
       over(1, UNREAD) }
  :: atomic { w == 0 && MAY_WRITE(0) && LIVE(0) && UNREAD_DUE(0) ->
       PUT(0, CLOSE, 3, 0); closed[0] = true
#ifdef MUTANT_UNREAD_ONCE
       ; over(0, UNREAD)
#endif
     }
  :: atomic { nempty(to[w]) && (on[w] != 0 || (w == 1 && resuming)) -> take(w) }
  /* Losing a circuit: any but the last at any time; the last when the other side has left it. */
  :: atomic { w == 0 && on[0] != 0 && (on[0] != LAST || (empty(to[0]) && on[1] != on[0] && !resuming)) ->
       /* An end of stream counts where it is the peer's half-close behind the CLOSE it read; it may look like a loss. */
       if :: LIVE(0) && discarded[0] && closed[0] && outcome[1] == FAILED && on[1] == 0 -> over(0, UNREAD)
          :: leave(0)
       fi }
  :: atomic { w == 1 && on[1] != 0 && (on[1] != LAST || (empty(to[1]) && on[0] != on[1])) -> leave(1) }
  :: atomic { w == 1 && resuming && on[0] != LAST -> EMPTY(1); resuming = false }             /* RESUME is lost */
  :: atomic { w == 0 && LIVE(0) && on[0] == 0 && used < CIRCUITS ->         /* C-5: until it has been told */
       used++; on[0] = used; answered = false; resuming = true;
       EMPTY(0); EMPTY(1);
       to[1]!RESUME, received[0], acked[0]; told[0] = acked[0] }   /* what is consumed after this has not been told */
#ifdef EVICT
  :: atomic { w == 1 && tombstone == KEPT -> tombstone = EVICTED }
#endif
  od
}

proctype Verdict() {
  atomic { timeout ->
    if
    :: discarded[0] && discarded[1] ->
         /* Neither END can be acked; whoever learns it first closes, and the other ends by that or by itself. */
         assert(outcome[0] == UNREAD || outcome[0] == FAILED); assert(outcome[1] == UNREAD || outcome[1] == FAILED)
    :: discarded[0] && !discarded[1] -> assert(outcome[0] == UNREAD && outcome[1] == FAILED)
    :: !discarded[0] && discarded[1] -> assert(outcome[1] == UNREAD && outcome[0] == FAILED)
    :: else ->
         assert(outcome[1] == CLEAN);
#ifdef EVICT
         assert(outcome[0] == CLEAN || (outcome[0] == FAILED && tombstone == EVICTED && !DONE(0)))   /* honest: "may have been consumed" */
#else
         assert(outcome[0] == CLEAN)
#endif
    fi
  }
}

init {
  atomic {
    on[0] = 1; on[1] = 1;
    if :: count[0] = 1 :: skip fi; if :: count[1] = 1 :: skip fi;
    if :: reader[0] = true :: skip fi; if :: reader[1] = true :: skip fi;
    run Side(0); run Side(1); run Verdict()
  }
}

/** A connection that is dead without having ended, as after a laptop slept, says nothing. */
import type { Peer } from "./peer.js";

/**
 * Ping a peer that said nothing for `intervalMs`, and end its connection if it says nothing for as long again.
 *
 * 0 is never. Gives what ends the watch.
 */
export function watchSilence(peer: Peer, intervalMs: number): () => void {
  if (intervalMs === 0) return () => {};
  let pinged = false;
  const timer = setInterval(() => {
    if (peer.heard) pinged = false;
    else if (pinged) peer.close("The daemon is silent.");
    else {
      pinged = true;
      peer.request("ping", "{}", () => {});
    }
    peer.heard = false;
  }, intervalMs);
  return () => clearInterval(timer);
}

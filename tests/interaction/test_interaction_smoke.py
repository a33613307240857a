from interaction_world import resident
from person import script, calling, shell

async def test_smoke(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo x >> out")), {"text": "done"}))
        asked = await ann.event("request_opened")
        assert (await ann.answer_request(asked, "allow"))["accepted"]
        await ann.end()
        assert (home.work / "out").read_text() == "x\n"
